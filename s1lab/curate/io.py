"""Read published files and write rows for trl.

It reads the columns of s1K, s1K-1.1 and the 59K, and makes rows in the paper's training format.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from datasets import Dataset, Value

from s1lab.curate.report import needs, with_column
from s1lab.curate.tables import opened
from s1lab.evaluation.arguments import dataset_fix
from s1lab.storage.files import local, write_whole
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import BoundTemplate, bind

# Our column: the names that it has in published files. The first one that is found is taken.
COLUMNS: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "Question", "Problem"),
    "answer": ("answer", "solution", "Answer", "Correct Answer"),
    "source": ("source", "source_type"),
    "thinking": (
        "thinking",
        "deepseek_thinking_trajectory",
        "gemini_thinking_trajectory",
        "thinking_trajectories",
    ),
    "attempt": ("attempt", "deepseek_attempt", "gemini_attempt"),
    "domain": ("domain",),
}
Rows = Literal["original", "plain"]  # how a trace becomes a row for training, see to_sft
TEACHERS = ("deepseek", "gemini")  # s1K-1.1 has traces of both

# The published 59K's names of its sources (the beginning of source_type), and the names in the
# paper's Table 7.
SOURCES: dict[str, str] = {
    "AI-MO/NuminaMath-CoT": "NuminaMATH",
    "qfq/openaimath": "MATH",
    "simplescaling/openaimath": "MATH",
    "GAIR/OlympicArena": "OlympicArena",
    "KbsdJames/Omni-MATH": "OmniMath",
    "baber/agieval": "AGIEval",
    "0xharib/xword1": "xword",
    "Hothan/OlympiadBench": "OlympiadBench",
    "qq8933/AIME_1983_2024": "AIME 1983-2021",
    "TIGER-Lab/TheoremQA": "TheoremQA",
    "codegenning/usacobench": "USACO",
    "daman1209arora/jeebench": "JEEBench",
    "Idavidrein/gpqa": "GPQA (non-diamond)",
    "OpenDFM/SciEval": "SciEval",
    "qfq/stats_qual": "s1-prob",
    "LiveCodeBench": "LiveCodeBench",
    "qfq/quant": "s1-teasers",
}


def source_name(source: str | None) -> str:
    """Return the name that Table 7 gives a source; an unknown name is returned unchanged."""
    source = source or ""
    return next((name for start, name in SOURCES.items() if source.startswith(start)), source)


def read(
    path: str | Path, need: Sequence[str] = ("question",), *, teacher: str | None = None
) -> Dataset:
    """Read a pool from a local file: parquet, JSON lines or CSV.

    Text stays as it is written: dates, "007", "None", numbers of any length. The columns get the
    names of this package. The function knows the columns of s1K, s1K-1.1, the authors' 59K, and
    those of most benchmarks (``problem``). Other columns keep their names.

    Args:
        path: The file.
        need: Columns that the file must have.
        teacher: "deepseek" or "gemini": whose traces of s1K-1.1 to take. None takes the first.

    Returns:
        The rows.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is of another kind, is broken or lacks a column. The error names the
            file.

    Example:
        lab.curate.write(lab.tiny.pool(200), "runs/pool.jsonl")
        pool = lab.curate.read("runs/pool.jsonl", need=("question", "answer"))
    """
    if teacher not in (None, *TEACHERS):
        raise ValueError(f"no teacher is called {teacher!r}: choose from {list(TEACHERS)}")
    path = local(path)
    table = opened(path)
    for ours, names in COLUMNS.items():
        if ours in ("thinking", "attempt") and teacher:
            names = tuple(name for name in names if name.startswith(teacher))
        found = next((name for name in names if name in table.column_names), None)
        if found and found != ours:
            rest = table.remove_columns(ours) if ours in table.column_names else table
            table = (
                rest.add_column(ours, _texts(rest, found, path))
                if ours == "answer"
                else _renamed(rest, found, ours, path)
            )
    if "source" in table.column_names:
        sources = [
            source_name(source) if isinstance(source, str | None) else source
            for source in table["source"]
        ]
        if sources != list(table["source"]):
            table = (
                table.rename_column("source", "source_type")
                if "source_type" not in table.column_names
                else table
            )
            table = with_column(table, "source", sources)
    if "cot_type" in table.column_names and {"answer", "kind"} & set(table.column_names) == {
        "answer"
    }:
        table = table.add_column(
            "kind", [_kind(*row) for row in zip(table["cot_type"], table["answer"], strict=True)]
        )
    lacking = [name for name in need if name not in table.column_names]
    if lacking:
        wanted = " or ".join(repr(name) for name in COLUMNS.get(lacking[0], (lacking[0],)))
        raise ValueError(
            f"{path} has no column {wanted} for {lacking[0]!r}, only {table.column_names}"
        )
    return table


def _kind(cot_type: str | None, answer: str | None) -> str:
    """Say how a row of the authors' 59K is graded.

    Crosswords are graded letter by letter. A science answer of one letter is graded as a choice.
    """
    if cot_type == "crossword":
        return "exact"
    return (
        "choice"
        if cot_type == "science" and re.fullmatch(r"\(?[A-J]\)?\.?", str(answer or "").strip())
        else "math"
    )


def _renamed(table: Dataset, found: str, ours: str, path: Path) -> Dataset:
    if isinstance(table.features[found], Value):
        return table.rename_column(found, ours)
    return table.add_column(ours, _texts(table, found, path)).remove_columns(found)


def _texts(table: Dataset, column: str, path: Path) -> list[str | None]:
    """Return a column as text: s1K holds each trace as a list of one. An empty list is missing."""
    texts: list[str | None] = []
    for place, value in enumerate(table[column]):
        parts = value if isinstance(value, list) else [value]
        wrong = next((part for part in parts if isinstance(part, list | dict)), None)
        if wrong is not None:
            raise ValueError(
                f"the {column} of row {place} of {path} holds a {type(wrong).__name__}, not text: "
                "give a text, or a list of texts"
            )
        found = [str(part) for part in parts if part is not None]
        texts.append("\n".join(found) if found else None)
    return texts


def to_sft(
    dataset: Dataset,
    template: BoundTemplate | ThinkTemplate | str = "s1",
    tokenizer: Any = None,
    *,
    prefix: str = "Answer: ",
    rows: Rows = "original",
) -> Dataset:
    """Make rows for trl in the paper's format.

    A row has a ``prompt`` (the chat up to the assistant's turn) and a ``completion``. The
    completion consists of the opening delimiter, the trace, the closing delimiter on a line of its
    own, the answer, and the end of the turn. ``prefix`` is put before an answer that does not hold
    it. All of the completion carries loss, and nothing of the prompt does (paper, appendix D;
    ``completion_only_loss=True``). Windows line ends (CRLF) in a trace or an answer become
    newlines, and a warning says in how many rows.

    Args:
        dataset: A Dataset with question, thinking and attempt.
        template: An engine's (``engine.template``), or a preset with the model's ``tokenizer``.
        tokenizer: The model's tokenizer, if ``template`` is a preset.
        prefix: The beginning of the answer, if the answer does not hold it anywhere.
        rows: "original" makes the text that the authors' data/tokenization.py makes. Spaces and
            newlines around trace and answer are removed, and the turn ends as the chat template
            writes it. For Qwen that is the end token and a newline; the authors' collator learns
            that newline too. "plain" leaves trace and answer unchanged and ends with the end token.
            The embedded models were trained on such rows.

    Returns:
        A Dataset with the columns ``prompt`` and ``completion``, one row for each row. Newer
        versions of trl add an end token to a text that does not end in one. `s1lab.sft.train`
        passes ids to trl, so nothing is added.

    Raises:
        ValueError: If a row lacks one of the three columns, if a text holds one of the template's
            delimiters or another stop of the model, or if the name of ``rows`` is unknown.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(4, split="train"))
        examples = lab.curate.to_sft(rows, lab.load("s1-tiny").template)
        print(examples[0]["prompt"])
    """
    needs(dataset, "the dataset", question="text", thinking="text", attempt="text")
    if rows not in get_args(Rows):
        raise ValueError(f"rows={rows!r} is not known: choose from {list(get_args(Rows))}")
    if not isinstance(template, BoundTemplate):
        if tokenizer is None:
            raise ValueError(
                "the template has no tokenizer: give engine.template, or the model's tokenizer as "
                "tokenizer="
            )
        template = bind(template, tokenizer, {tokenizer.eos_token_id})
    think = template.template
    end = template.tokenizer.eos_token
    marks = sorted(
        {think.open.strip(), think.close.strip(), *think.ends, end},
        key=lambda mark: (len(mark), mark),
    )
    stops = [stop for stop in stop_texts(template) if stop not in marks]
    if rows == "original":
        end = _end_of_turn(template)
    made: dict[str, list[str]] = {"prompt": [], "completion": []}
    texts = dataset.select_columns(["question", "thinking", "attempt"])
    for place, row in enumerate(with_newlines(texts, ("thinking", "attempt"))):
        for name, text in row.items():
            if not (text or "").strip():
                raise ValueError(
                    f"row {place} has no {name}: drop such rows with curate.quality first"
                )
            held = next((mark for mark in marks if mark in text), None)
            if held:
                raise ValueError(
                    f"the {name} of row {place} holds the delimiter {held!r}: it would be read as "
                    "one; take it out"
                )
            stop = next((stop for stop in stops if stop in text), None)
            if stop:
                raise ValueError(
                    f"the {name} of row {place} holds {stop!r}, at which the model stops: it would "
                    "learn to stop there; take it out"
                )
        thinking, attempt = row["thinking"], row["attempt"]
        answer = attempt if prefix.strip() in attempt else prefix + attempt
        if rows == "original":
            # In this order the text between the prefix and an answer's first word stays, as in the
            # original.
            thinking, answer = thinking.strip(), answer.strip()
        prompt = template.decode_whole(template.prompt(row["question"]))
        made["prompt"].append(prompt)
        made["completion"].append(
            f"{think.opening(prompt)}{thinking}{think.closing(thinking)}{answer}{end}"
        )
    return Dataset.from_dict(made)


def stop_texts(template: BoundTemplate) -> list[str]:
    """Return the texts of the tokens at which the model stops, or calls a tool."""
    ids = sorted({*template.answer_stop, *template.tools})
    return [text for text in (template.decode_whole([i]) for i in ids) if text.strip()]


def with_newlines(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    r"""Return the rows with ``\n`` for each Windows line end, and warn of rows that had one.

    A model would learn to write them. And a word that is not to be learned, such as "Wait", would
    not be found on its line.
    """
    found, changed = [], 0
    for row in rows:
        texts = {name: row[name] for name in columns if "\r" in (row[name] or "")}
        changed += bool(texts)
        found.append(row | {name: newlines(text) for name, text in texts.items()})
    if changed:
        warnings.warn(
            f"{changed:,} of {len(found):,} rows to learn from have Windows line ends (CRLF): they "
            "were changed to newlines",
            stacklevel=3,
        )
    return found


def newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _end_of_turn(template: BoundTemplate) -> str:
    """Return the text that the chat template writes after an assistant's turn.

    For Qwen that is ``<|im_end|>`` and a newline. It is the end token alone if the template does
    not show the turn as it is, or not its end.
    """
    end = str(template.tokenizer.eos_token)
    turn = "<the assistant's turn>"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": turn}]
    text = template.tokenizer.apply_chat_template(messages, tokenize=False)
    assert isinstance(text, str)
    behind = text.rpartition(turn)[2] if turn in text else ""
    return behind if behind.startswith(end) else end


def digest(dataset: Dataset) -> str:
    """Hash the content of a dataset.

    Each row is hashed as JSON with its keys in order. The order of the rows counts, the order of
    the columns does not.

    Args:
        dataset: The rows.

    Returns:
        The SHA-256 in hex.

    Example:
        print(lab.curate.digest(lab.tiny.problems(8)))
    """
    found = hashlib.sha256()
    for row in _rows(dataset):
        found.update(_line(row))
    return found.hexdigest()


def write(dataset: Dataset, path: str | Path) -> str:
    """Write a dataset as JSON lines.

    The file is written whole or not at all, and replaces a file at ``path``. It holds the very
    bytes that are hashed, so ``sha256sum`` of the file gives the same hash.

    Args:
        dataset: The rows.
        path: The file.

    Returns:
        The dataset's `digest`.

    Example:
        digest = lab.curate.write(lab.tiny.problems(8), "runs/eight.jsonl")
    """
    write_whole(path, map(_line, _rows(dataset)))
    return digest(dataset)


def _rows(dataset: Any) -> Iterable[Mapping[str, Any]]:
    """Return what holds rows. A DatasetDict or a DataFrame would be written as its names."""
    listed = isinstance(dataset, list | tuple) and all(isinstance(r, Mapping) for r in dataset)
    if listed or (hasattr(dataset, "column_names") and not isinstance(dataset, Mapping)):
        return dataset  # type: ignore[no-any-return]
    raise TypeError(
        f"the rows are a {type(dataset).__name__}, not a datasets.Dataset: {dataset_fix(dataset)}"
    )


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode()
