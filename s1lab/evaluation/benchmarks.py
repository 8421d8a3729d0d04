"""Load the paper's benchmarks.

A benchmark comes from the hub at a pinned revision, or from a local file. It is checked by its
number of rows and by a checksum of its questions, see `s1lab.evaluation.catalog`. Every run
stores the checksum of the questions that were asked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from datasets import Dataset, config, load_dataset

from s1lab import tiny
from s1lab.curate.tables import opened
from s1lab.engines.model_names import hub_silence
from s1lab.evaluation import gym
from s1lab.evaluation.arguments import shown, text, whole
from s1lab.evaluation.catalog import ALIASES, BENCHMARKS, EMBEDDED, FILES, Benchmark, known
from s1lab.evaluation.evaluate import checksum
from s1lab.evaluation.grade.extract import plain, reference
from s1lab.paper.compare import Comparison, compare
from s1lab.storage.files import local
from s1lab.tiny.world import BENCHMARK, BENCHMARK_SEED

__all__ = [
    "ALIASES",
    "BENCHMARKS",
    "EMBEDDED",
    "Benchmark",
    "Comparison",
    "choice_question",
    "choices_as_original",
    "compare",
    "known",
    "load",
    "shared",
]

QUESTION = ("question", "problem", "Question", "Problem")
ANSWER = ("answer", "Answer", "Correct Answer")
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
UNANSWERED = "unanswered"  # a column: the answer that a response without one counts as
_FIGURE = re.compile(r"\s*\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)


def load(
    name: str,
    path: str | Path | None = None,
    *,
    n: int | None = None,
    figures: bool = True,
    seed: int | None = None,
    check: bool = True,
    as_original: bool = False,
    **settings: Any,
) -> Dataset:
    """Load a benchmark for `s1lab.evaluate`.

    Args:
        name: One of `BENCHMARKS`, with "_" or "-" between its words. "aime24" is the task
            that the paper reports, aime24_nofigures. "embedded" is the embedded world's 500 test
            questions, which all its published numbers are on, or the first n of them. It may also
            be the path of a file with a benchmark's name, such as "data/aime24.jsonl".
            "reasoning-gym/leg_counting" draws questions of one of the twelve tasks of the package
            reasoning-gym that `s1lab.evaluation.gym` lists.
        path: A file (parquet, JSON lines, CSV), or a folder that holds one. None loads from the
            hub, or from its cache if HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set.
        n: Take only the first n questions. Such a run does not compare with published numbers. A
            task of reasoning-gym draws n questions (None: 100), and the first of them do not depend
            on n.
        figures: False removes the code of figures, [asy] to [/asy], from every question. Some
            questions may then not be solvable.
        seed: Seed of the order of a multiple-choice question's options (None: 0). Each order
            depends on the question alone, not on the questions around it. For "embedded" the seed
            draws other questions from the same split. For a task of reasoning-gym it draws
            other rows of the package, none of them a row of another seed.
        check: False accepts a set with other rows or questions than the known one. For a task of
            reasoning-gym it takes the rows of any version of the package as they are. Otherwise
            rows whose answer is known to be wrong, and rows that repeat a question, are replaced
            by the rows that follow.
        as_original: For GPQA-Diamond only: ask what the original's evaluator asks, see
            `choices_as_original`. ``seed`` is then the seed of its one generator (None: 0). A
            column ``unanswered`` makes a response without an answer count as "A".
        **settings: For a task of reasoning-gym only: its settings, such as ``max_animals=5``.

    Returns:
        A Dataset with ``question``, ``answer`` and ``kind``. The set's other columns are unchanged.
        A task of reasoning-gym also has ``row``, the number of the package's row, and gsm_symbolic
        has ``solution``.

    Raises:
        ValueError: The name is unknown, the number of rows or the questions differ from the known
            ones, or a row has no question or no answer.
        FileNotFoundError: The set was not found. The message says how to get it.
        ImportError: The package reasoning-gym is missing.
        TypeError: An argument is unknown.

    Example:
        problems = lab.benchmarks.load("embedded", n=30)
        print(problems[0]["question"])
    """
    if not isinstance(name, Path):
        text("name", name, "a benchmark's name, such as 'aime24', or the path of a file")
    if isinstance(path, Real):
        raise ValueError(
            f"path={shown(path)} is no file: the second place is the benchmark's file; write "
            f"n={shown(path)} for that many questions"
        )
    if n is not None:
        n = whole("n", n)
    if seed is not None:
        seed = whole("seed", seed, 0)
    if gym.is_named(str(name)):
        if path is not None or as_original or not figures:
            raise ValueError(f"{name} is drawn by a package: leave out path, figures, as_original")
        drawn = gym.draw(str(name), n, seed, check, settings)
        return _named(drawn, drawn["kind"][0])
    if settings:
        raise TypeError(
            f"load has no argument {next(iter(settings))!r:.60} for {name}: only the tasks of "
            "reasoning-gym have settings of their own"
        )
    if path is None and Path(name).suffix in FILES:
        path = local(name)
    if as_original and known(name)[0] != "gpqa-diamond":
        raise ValueError(
            f"as_original=True asks GPQA-Diamond as the original does, and {name!r} is not asked "
            "differently: leave it out"
        )
    if name == EMBEDDED and path is None:
        return _named(
            tiny.problems(n or BENCHMARK, BENCHMARK_SEED if seed is None else seed, "test"),
            EMBEDDED,
        )
    key, benchmark = known(name)
    if benchmark is None:
        choices = [EMBEDDED, *sorted([*BENCHMARKS, *ALIASES])]
        raise ValueError(
            f"no benchmark is called {key if Path(name).suffix in FILES else name!r}: choose from "
            f"{choices}, or {gym.PREFIX} and a task such as {gym.nearest(name) or 'leg_counting'!r}"
        )
    if path is None:
        table, where = _from_hub(key, benchmark), benchmark.hub
    else:
        table, where = opened(_file(key, benchmark, local(path))), str(path)
    questions, answers = _checked(table, key, benchmark, where, check)
    rest = table.remove_columns(
        [c for c in (*QUESTION, *ANSWER, "kind") if c in table.column_names]
    )
    if benchmark.kind == "choice":
        wrong = zip(*(_column(table, (column,), where) for column in WRONG), strict=True)
        asked = _lettered(list(zip(questions, answers, wrong, strict=True)), seed or 0, as_original)
        questions, answers = [text for text, _ in asked], [letter for _, letter in asked]
        # GPQA has many more columns, most of them its reviewers' notes.
        kept = {"Record ID": "id", "High-level domain": "domain", "Subdomain": "subdomain"}
        rest = rest.select_columns([c for c in kept if c in rest.column_names])
        rest = rest.rename_columns({c: kept[c] for c in rest.column_names})
    if not figures:
        questions = [_FIGURE.sub("", question) for question in questions]
    for place, answer in enumerate(answers):
        if reference(answer, benchmark.kind) is None:
            raise ValueError(
                f"the answer of row {place} of {where}, {answer!r:.60}, is not of kind "
                f"{benchmark.kind!r}: mend the row"
            )
    columns = {"question": questions, "answer": answers, "kind": [benchmark.kind] * len(questions)}
    if as_original:
        columns[UNANSWERED] = ["A"] * len(questions)
    columns |= {c: rest[c] for c in rest.column_names}
    return _named(
        Dataset.from_dict({name: list(values)[:n] for name, values in columns.items()}), key
    )


def shared(first: Dataset, second: Dataset) -> list[int]:
    """The rows of a set whose question is also in another one, such as a test set.

    Whole questions are compared, without spaces and case. N-grams, as in `s1lab.curate`, are of no
    use where all questions begin with the same words, as those of "reasoning-gym/leg_counting" do.

    Args:
        first: A Dataset with ``question``.
        second: Another one.

    Returns:
        The places of these rows in the first set.

    Example:
        train = lab.benchmarks.load("reasoning-gym/products", n=500, seed=1)
        test = lab.benchmarks.load("reasoning-gym/products", n=100)
        known = set(lab.benchmarks.shared(train, test))
        train = train.select([i for i in range(len(train)) if i not in known])
    """
    asked = {plain(str(question)) for question in second["question"]}
    return [i for i, question in enumerate(first["question"]) if plain(str(question)) in asked]


def _named(questions: Dataset, name: str) -> Dataset:
    """Set the name of a set of questions, which every run on it stores."""
    questions.info.dataset_name = name
    return questions


def _checked(
    table: Dataset, key: str, benchmark: Benchmark, where: str, check: bool
) -> tuple[list[str], list[str]]:
    """The questions and answers of a table, if it is the benchmark that it should be."""
    if check and len(table) != benchmark.rows:
        raise ValueError(
            f"{where} has {len(table)} rows and {key} has {benchmark.rows}: get it again, or pass "
            "check=False to take it"
        )
    questions, answers = (_column(table, names, where) for names in (QUESTION, ANSWER))
    found = checksum(questions)
    if check and benchmark.checksum and found != benchmark.checksum:
        raise ValueError(
            f"the questions of {where} (checksum {found}) are not those of {key} "
            f"({benchmark.checksum}): get it again from {benchmark.hub}, or pass check=False to "
            "take them"
        )
    return questions, answers


def _lettered(
    rows: list[tuple[str, str, tuple[str, ...]]], seed: int, as_original: bool
) -> list[tuple[str, str]]:
    """The text to ask and the right letter of each (question, right option, wrong options)."""
    if as_original:
        return choices_as_original(rows, seed)
    return [choice_question(question, right, wrong, seed) for question, right, wrong in rows]


def choice_question(
    question: str, right: str, wrong: Sequence[str], seed: int = 0
) -> tuple[str, str]:
    """A multiple-choice question with its options in a drawn order, as the authors ask GPQA.

    The order depends only on the seed and the question.

    Returns:
        The question with its options below it, "A) ..." to "D) ...", one a line; and the letter of
        the right option.

    Example:
        question, letter = lab.benchmarks.choice_question("Which?", "right", ["wrong", "worse"])
        print(question, letter)
    """
    options = [right, *wrong]
    order = list(range(len(options)))
    random.Random(f"{seed}\n{question}").shuffle(order)
    lines = [f"{chr(65 + place)}) {options[which].strip()}" for place, which in enumerate(order)]
    return f"{question.strip()}\n\n" + "\n".join(lines), chr(65 + order.index(0))


def choices_as_original(
    rows: Sequence[tuple[str, str, Sequence[str]]], seed: int = 0
) -> list[tuple[str, str]]:
    r"""Multiple-choice questions with their options in the order of the original's evaluator.

    One generator of Python's ``random`` shuffles the options of all rows, one row after another
    (``process_docs`` in its ``lm_eval/tasks/gpqa/openai/utils.py``). So a row's order depends on
    all rows before it. Before the shuffle, the wrong options come before the right one. Texts keep
    their spaces. If options are equal, the first one counts as the right one.

    The original's harness seeds that generator with 0 when it starts (``random_seed`` of
    ``simple_evaluate``). Other code in the same process may seed it again: the harness starts vLLM
    with the seed 1234. It also keeps the questions in the cache of ``datasets``, and later runs
    take them from there. So its code does not show which seed a published run had.

    Args:
        rows: (question, right option, wrong options) in the order of the data set.
        seed: The seed of the generator.

    Returns:
        For each row the text to ask, and the letter of the right option.

    Raises:
        ValueError: The seed is not a whole number.

    Example:
        >>> lab.benchmarks.choices_as_original([("Which?", "right", ["wrong", "worse", "worst"])])
        [('Which?\n\nA) worst\nB) wrong\nC) worse\nD) right', 'D')]
    """
    generator = random.Random(whole("seed", seed, 0))
    found = []
    for question, right, wrong in rows:
        options = [*wrong, right]
        generator.shuffle(options)
        lines = [f"{chr(65 + place)}) {option}" for place, option in enumerate(options)]
        asked = f"{question}\n\n" + "\n".join(lines)
        found.append((asked, chr(65 + options.index(right))))
    return found


def _from_hub(key: str, known: Benchmark) -> Dataset:
    silent = None if config.HF_HUB_OFFLINE else hub_silence()
    # datasets would try again for minutes before it looks into its cache.
    before, config.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE or bool(silent)
    try:
        return load_dataset(known.hub, known.config, split=known.split, revision=known.revision)
    except Exception as why:  # many kinds (hub, network, cache, file), one meaning
        said = str(why).strip().splitlines()
        cause = silent or f"{type(why).__name__}: {said[0] if said else ''}"[:160]
        revision = f" --revision {known.revision}" if known.revision else ""
        raise FileNotFoundError(
            f"{key} can't be had from the hub ({cause}){'; ' + known.note if known.note else ''}; "
            f"or, where there is a network, run `hf download {known.hub} --repo-type dataset"
            f"{revision} --local-dir DIR`, and give path='DIR' (--path DIR)"
        ) from None
    finally:
        config.HF_HUB_OFFLINE = before


def _file(key: str, known: Benchmark, path: Path) -> Path:
    """The file itself, or a folder's only data file, or the one with the benchmark's name."""
    if not path.exists():
        raise FileNotFoundError(
            f"no file or folder is at {path}: get {key} with `hf download {known.hub} --repo-type "
            f"dataset --local-dir {path}`" + (f"; {known.note}" if known.note else "")
        )
    if not path.is_dir():
        return path
    files = sorted(
        file for file in path.rglob("*") if file.suffix in FILES and ".cache" not in file.parts
    )
    words = (key, known.task, known.config or key, known.paper or key, known.hub.rpartition("/")[2])
    names = {re.sub(r"[-_]", "", word.lower()) for word in words}
    named = [file for file in files if re.sub(r"[-_]", "", file.stem.lower()) in names]
    for found in (files, named, [file for file in files if file.stem.startswith(known.split)]):
        if len(found) == 1:
            return found[0]
    raise FileNotFoundError(
        f"{path} holds {len(files)} data files, and which is {key} is not clear: pass path= the "
        "file itself"
    )


def _column(table: Dataset, names: Sequence[str], where: str) -> list[str]:
    name = next((name for name in names if name in table.column_names), None)
    if name is None:
        raise ValueError(
            f"{where} has no column {' or '.join(map(repr, names))}, only {table.column_names}"
        )
    found = list(table[name])
    odd = next((i for i, v in enumerate(found) if isinstance(v, list | dict)), None)
    if odd is not None:
        raise ValueError(
            f"the {name} of row {odd} of {where} is a {type(found[odd]).__name__}, not text: give "
            "a file with conversations to lab.evaluate itself, as a Dataset"
        )
    values = ["" if value is None else str(value) for value in found]
    empty = next((place for place, value in enumerate(values) if not value.strip()), None)
    if empty is not None:
        raise ValueError(
            f"row {empty} of {where} has no {name}: fill it in, or drop the row and pass "
            "check=False"
        )
    return values
