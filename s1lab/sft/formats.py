"""Training rows for conditional control (paper appendix E.1): traces that say in the question how long they are.

    rows = sft.formats.token_conditional(chosen, engine.template)
    trained = sft.train("s1-tiny-base", rows, "tiny")

The column ``format`` tells :func:`s1lab.sft.train` what to write into the model's config, where
:mod:`s1lab.methods.conditional` looks.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from s1lab.curate.io import Rows, to_sft
from s1lab.methods.conditional import Length, asking_class, asking_steps, asking_tokens
from s1lab.methods.steps import step_header
from s1lab.tokenization.bound_template import BoundTemplate


def bucket(n: int) -> int:
    """The smallest power of two that is not below ``n``: 2,048 stands for 1,025 to 2,048."""
    return 1 << (n - 1).bit_length()


def token_conditional(dataset: Dataset, template: BoundTemplate, *, rows: Rows = "original") -> Dataset:
    """``prompt`` and ``completion`` with "Think for up to N tokens.", N the trace's length rounded up to a power of two.

    dataset: question, thinking, attempt. template: of the model that is trained (``engine.template``); its tokenizer counts.
    rows: as in :func:`s1lab.curate.to_sft`, and ValueError as there.
    """
    lengths = [len(template.encode(thinking)) for thinking in _thoughts(dataset, rows)]
    questions = [asking_tokens(q, bucket(n)) for q, n in zip(dataset["question"], lengths, strict=True)]
    return _marked(to_sft(_asking(dataset, questions), template, rows=rows), "tcc")


def step_conditional(dataset: Dataset, template: BoundTemplate, separator: str = "\n\n", *, rows: Rows = "original") -> Dataset:
    """``prompt`` and ``completion`` with "Think for up to N steps.", each step below a header that counts down from N.

    N is the number of steps rounded up to a power of two; so 5 steps count 8, 7, 6, 5, 4. The completion begins with the header
    in place of the opening of thinking. separator: what stands between steps: the paper's traces are split at empty lines, the
    embedded teacher's at each line. rows: as in :func:`s1lab.curate.to_sft`.
    ValueError for a template that can't count steps, and as in :func:`s1lab.curate.to_sft`.
    """
    think = template.template
    whole = to_sft(dataset, template, rows=rows)
    prompts, completions = [], []
    for question, thinking, completion in zip(dataset["question"], _thoughts(dataset, rows), whole["completion"], strict=True):
        steps = split_steps(thinking, separator)
        n = bucket(len(steps))
        told = "".join(f"{step_header(think, n - done)}{step}\n" for done, step in enumerate(steps))
        prompts.append(template.decode_whole(template.prompt(asking_steps(question, n))))
        completions.append(told + completion[completion.rindex(think.close) :])
    return _marked(Dataset.from_dict({"prompt": prompts, "completion": completions}), "scc")


def class_conditional(dataset: Dataset, template: BoundTemplate, *, rows: Rows = "original") -> Dataset:
    """``prompt`` and ``completion`` with the paper's sentence for short or for long thinking.

    Below the median length a trace counts as short, from it on as long. Every third row of each is left without a sentence, so
    that asking for nothing is no news to the model either. rows: as in :func:`s1lab.curate.to_sft`, and ValueError as there.

    The paper trains nothing for this: it asks s1-32B itself. A model of the embedded world has to be taught what the two
    sentences mean.
    """
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
    """The steps of a trace, without empty ones."""
    return [step.strip("\n") for step in thinking.split(separator) if step.strip()]


def _thoughts(dataset: Dataset, rows: Rows) -> list[str]:
    """The traces as their rows will hold them."""
    return [thinking.strip() if rows == "original" else thinking for thinking in dataset["thinking"]]


def _asking(dataset: Dataset, questions: list[str]) -> Dataset:
    columns: dict[str, Any] = {"question": questions, "thinking": dataset["thinking"], "attempt": dataset["attempt"]}
    return Dataset.from_dict(columns)


def _marked(rows: Dataset, name: str) -> Dataset:
    return rows.add_column("format", [name] * len(rows))
