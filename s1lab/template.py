"""How a model marks its thinking: the opening, the delimiters that end it, the text that closes it."""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_BEGINNING = 3  # characters of an opening that count as its beginning, at the end of a prompt


@dataclass(frozen=True)
class ThinkTemplate:
    """Delimiters as text.

    open: appended to the chat prompt, unless its template has done so; what follows is thinking.
    ends: delimiters that the model samples to end its thinking; each is one token of the tokenizer, or several.
    close: what the program appends to end the thinking, by itself or cut; the answer follows.
    newline: whether the close must begin on a line of its own.
    """

    open: str
    ends: tuple[str, ...]
    close: str
    name: str = "custom"
    newline: bool = True

    def opening(self, prompt: str) -> str:
        """What opens the thinking behind a prompt: ``open``, or the rest of it.

        The chat template may open the thinking itself (QwQ, R1), or begin to: gpt-oss' prompt ends in ``<|start|>assistant``.
        """
        mark = self.open.strip()
        if mark and prompt.rstrip().endswith(mark):
            return "" if prompt[-1].isspace() else self.open[len(self.open.rstrip()) :]
        return self.open[len(self._begun(prompt)) :]

    def _begun(self, prompt: str) -> str:
        """The beginning of ``open`` that a prompt ends in."""
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
        """The close behind a text: on a line of its own, where it must be."""
        return "\n" + self.close if self.newline and not before.endswith("\n") else self.close

    def skipping(self, prompt: str) -> str:
        """What leads from a prompt to an answer without thinking; "" for a prompt that opens none.

        Thinking that the prompt opened is closed at once, as Qwen3's own form does: ``<think>``, an empty line, ``</think>``.
        Where the prompt only begins the opening, the answer's opening is completed instead.
        """
        if self.opened(prompt):
            return self.opening(prompt) + ("\n" if self.newline else "") + self.close
        begun = self._begun(prompt)
        return self.close[self.close.rindex(begun) + len(begun) :] if begun and begun in self.close else ""


S1 = ThinkTemplate("<|im_start|>think\n", ("<|im_start|>", "<|im_end|>"), "<|im_start|>answer\n", "s1")
THINK_TAGS = ThinkTemplate("<think>\n", ("</think>",), "</think>\n\n", "think-tags")
# Its chat template opens and closes with the bare tags, and so does the model.
DEEPSEEK = ThinkTemplate("<think>", ("</think>",), "</think>", "deepseek-v3.1", newline=False)
MAGISTRAL = ThinkTemplate("[THINK]", ("[/THINK]",), "[/THINK]", "magistral", newline=False)
_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
HARMONY = ThinkTemplate("<|start|>assistant<|channel|>analysis<|message|>", (_FINAL,), _FINAL, "harmony", newline=False)
PRESETS = {t.name: t for t in (S1, THINK_TAGS, DEEPSEEK, MAGISTRAL, HARMONY)}
