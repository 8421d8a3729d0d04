"""How a model marks its thinking: the opening, the delimiters that end it, and the closing text."""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_BEGINNING = 3  # characters of an opening that count as its beginning, at a prompt's end


@dataclass(frozen=True)
class ThinkTemplate:
    """The texts that mark thinking. Those of known models are in `s1lab.tokenization.presets`.

    Attributes:
        open: The text that opens the thinking, such as s1's ``<|im_start|>think`` and a newline. It
            follows the chat prompt, unless the chat template has added it already. Everything after
            it is thinking.
        ends: The delimiters that the model samples to end its thinking. Each is one token of the
            tokenizer, or several.
        close: The text that the program appends after the thinking, whether the model ended it or a
            budget cut it. The answer follows.
        name: The name of the template.
        newline: Whether the close must begin on a line of its own.

    Example:
        import s1lab as lab

        template = lab.ThinkTemplate("<think>", ("</think>",), "</think>", newline=False)
        print(template.closing("so there are 3"))
    """

    open: str
    ends: tuple[str, ...]
    close: str
    name: str = "custom"
    newline: bool = True

    def opening(self, prompt: str) -> str:
        """The text that opens the thinking after a prompt: ``open``, or the rest of it.

        The chat template may open the thinking itself (QwQ, R1), or begin to: gpt-oss' prompt ends
        in ``<|start|>assistant``.

        Args:
            prompt: The prompt, as the chat template writes it.

        Returns:
            The text to append; "" if the prompt has opened the thinking.
        """
        mark = self.open.strip()
        if mark and prompt.rstrip().endswith(mark):
            return "" if prompt[-1].isspace() else self.open[len(self.open.rstrip()) :]
        return self.open[len(self._begun(prompt)) :]

    def _begun(self, prompt: str) -> str:
        """The beginning of ``open`` at the end of a prompt; "" if there is none."""
        for n in range(len(self.open.rstrip()) - 1, SHORTEST_BEGINNING - 1, -1):
            if prompt.endswith(self.open[:n]) and len(self.open[:n].strip()) >= SHORTEST_BEGINNING:
                return self.open[:n]
        return ""

    def opened(self, prompt: str) -> bool:
        """Whether a prompt ends in open thinking."""
        mark = self.open.strip()
        return bool(mark) and prompt.rstrip().endswith(mark)

    def closed(self, prompt: str) -> bool:
        """Whether a prompt ends in closed thinking."""
        mark = self.close.strip()
        return bool(mark) and prompt.rstrip().endswith(mark)

    def closing(self, before: str) -> str:
        """The close after a text, on a line of its own if it must be."""
        return "\n" + self.close if self.newline and not before.endswith("\n") else self.close

    def skipping(self, prompt: str) -> str:
        """The text that leads from a prompt to an answer without thinking.

        If the prompt opened the thinking, it is closed at once, in Qwen3's own form: ``<think>``,
        an empty line, ``</think>``. If the prompt only begins the opening, the answer's opening is
        completed instead.

        Args:
            prompt: The prompt, as the chat template writes it.

        Returns:
            The text to append; "" for a prompt that opens no thinking.
        """
        if self.opened(prompt):
            return self.opening(prompt) + ("\n" if self.newline else "") + self.close
        begun = self._begun(prompt)
        return (
            self.close[self.close.rindex(begun) + len(begun) :]
            if begun and begun in self.close
            else ""
        )
