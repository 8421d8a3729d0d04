"""Training rows for conditional control (paper appendix E.1): the question tells a trace's length.

    rows = sft.formats.token_conditional(chosen, engine.template)
    trained = sft.train("s1-tiny-base", rows, "tiny")

`s1lab.sft.train` writes the column ``format`` into the model's config, and
`s1lab.methods.conditional` reads it there.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from s1lab.curate.io import Rows, newlines, to_sft
from s1lab.curate.report import needs
from s1lab.methods.conditional import Length, asking_class, asking_steps, asking_tokens
from s1lab.methods.steps import step_header
from s1lab.tokenization.bound_template import BoundTemplate


def bucket(n: int) -> int:
    """Return the smallest power of two that is at least ``n``: 2,048 for 1,025 to 2,048."""
    return 1 << (n - 1).bit_length()


def token_conditional(
    dataset: Dataset, template: BoundTemplate, *, rows: Rows = "original"
) -> Dataset:
    """Add "Think for up to N tokens." to each question.

    N is the trace's length in tokens, rounded up to a power of two.

    Args:
        dataset: A Dataset with question, thinking and attempt.
        template: Template of the model that is trained (``engine.template``). Its tokenizer counts
            the tokens.
        rows: As in `s1lab.curate.to_sft`.

    Returns:
        A Dataset with ``prompt``, ``completion`` and ``format``.

    Raises:
        ValueError: As in `s1lab.curate.to_sft`.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        examples = lab.sft.formats.token_conditional(rows, lab.load("s1-tiny").template)
    """
    needs(dataset, "the dataset", question="text", thinking="text", attempt="text")
    lengths = [len(template.encode(thinking)) for thinking in _thoughts(dataset, rows)]
    questions = [
        asking_tokens(q, bucket(n)) for q, n in zip(dataset["question"], lengths, strict=True)
    ]
    return _marked(to_sft(_asking(dataset, questions), template, rows=rows), "tcc")


def step_conditional(
    dataset: Dataset, template: BoundTemplate, separator: str = "\n\n", *, rows: Rows = "original"
) -> Dataset:
    r"""Add "Think for up to N steps." to each question, and a header that counts down to each step.

    N is the number of steps, rounded up to a power of two. So 5 steps have the headers 8, 7, 6, 5,
    4. The completion begins with the header in place of the opening of thinking.

    Args:
        dataset: A Dataset with question, thinking and attempt.
        template: Template of the model that is trained (``engine.template``).
        separator: The text between two steps. The paper's traces are split at empty lines, the
            embedded teacher's at each line.
        rows: As in `s1lab.curate.to_sft`.

    Returns:
        A Dataset with ``prompt``, ``completion`` and ``format``.

    Raises:
        ValueError: If the template can't count steps, and as in `s1lab.curate.to_sft`.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        examples = lab.sft.formats.step_conditional(rows, lab.load("s1-tiny").template, "\n")
    """
    think = template.template
    whole = to_sft(dataset, template, rows=rows)
    prompts, completions = [], []
    for question, thinking, completion in zip(
        dataset["question"], _thoughts(dataset, rows), whole["completion"], strict=True
    ):
        steps = split_steps(thinking, separator)
        n = bucket(len(steps))
        told = "".join(f"{step_header(think, n - done)}{step}\n" for done, step in enumerate(steps))
        prompts.append(template.decode_whole(template.prompt(asking_steps(question, n))))
        completions.append(told + completion[completion.rindex(think.close) :])
    return _marked(Dataset.from_dict({"prompt": prompts, "completion": completions}), "scc")


def class_conditional(
    dataset: Dataset, template: BoundTemplate, *, rows: Rows = "original"
) -> Dataset:
    """Add the paper's sentence for short or for long thinking to each question.

    A trace below the median length is short, any other is long. Every third row of each is left
    without a sentence, so that the model also knows questions that ask for no length.

    The paper trains nothing for this and asks s1-32B itself. A model of the embedded world has to
    be taught what the two sentences mean.

    Args:
        dataset: A Dataset with question, thinking and attempt.
        template: Template of the model that is trained (``engine.template``).
        rows: As in `s1lab.curate.to_sft`.

    Returns:
        A Dataset with ``prompt``, ``completion`` and ``format``.

    Raises:
        ValueError: As in `s1lab.curate.to_sft`.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        examples = lab.sft.formats.class_conditional(rows, lab.load("s1-tiny").template)
    """
    needs(dataset, "the dataset", question="text", thinking="text", attempt="text")
    lengths = [len(template.encode(thinking)) for thinking in _thoughts(dataset, rows)]
    middle = sorted(lengths)[len(lengths) // 2] if lengths else 0
    seen: dict[Length, int] = {"short": 0, "long": 0}
    questions = []
    for question, n in zip(dataset["question"], lengths, strict=True):
        length: Length = "short" if n < middle else "long"
        seen[length] += 1
        questions.append(asking_class(question, length if seen[length] % 3 else None))
    return _marked(to_sft(_asking(dataset, questions), template, rows=rows), "ccc")


def split_steps(thinking: str, separator: str = "\n\n") -> list[str]:
    """Return the steps of a trace, without empty ones."""
    return [step.strip("\n") for step in thinking.split(separator) if step.strip()]


def _thoughts(dataset: Dataset, rows: Rows) -> list[str]:
    """Return the traces as their rows will hold them."""
    texts = [newlines(thinking or "") for thinking in dataset["thinking"]]
    return [thinking.strip() if rows == "original" else thinking for thinking in texts]


def _asking(dataset: Dataset, questions: list[str]) -> Dataset:
    columns: dict[str, Any] = {
        "question": questions,
        "thinking": dataset["thinking"],
        "attempt": dataset["attempt"],
    }
    return Dataset.from_dict(columns)


def _marked(rows: Dataset, name: str) -> Dataset:
    return rows.add_column("format", [name] * len(rows))
