"""``s1lab evaluate``: measure a benchmark: accuracy with its interval, tokens and errors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.save import check_file, rung_file
from s1lab.cli.save import save as save_run
from s1lab.cli.shell import (
    FAILED,
    announce,
    duration,
    goes_on,
    numbers,
    tell,
    told_by_terminal,
    work,
)
from s1lab.storage.files import check_writable

if TYPE_CHECKING:
    from datasets import Dataset

ERRORS_SHOWN = 5
OPTION = "--benchmark-option"
LONG, TRIED = 5_000, 64  # questions that are announced, and how many of them are timed first


def evaluate(
    benchmark: Annotated[
        str | None,
        typer.Option(help="One of lab.benchmarks, such as aime24 or reasoning-gym/leg_counting."),
    ] = None,
    benchmark_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="An option of the benchmark, such as seed=1, or a setting of a reasoning-gym task "
            "such as max_animals=5; as often as needed.",
        ),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(help="The benchmark's file or folder, if not from the hub.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Your own problems, of question, answer, kind: parquet, JSON lines, CSV."
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, help="Only the first so many; of the embedded test questions 100."
        ),
    ] = None,
    model: given.Model = "s1-tiny",
    engine: given.EngineName = "auto",
    option: given.EngineOptions = None,
    api_key: given.Key = None,
    max_tokens: given.MaxTokens = None,
    min_tokens: given.MinTokens = 0,
    waits: given.Waits = None,
    wait: given.Wait = "Wait",
    on_cut: given.OnCut = "Final Answer:",
    answer_tokens: given.AnswerTokens = None,
    answer_room: given.AnswerRoom = 100,
    compat: given.Compat = "exact",
    thinking: Annotated[
        bool, typer.Option("--thinking/--no-thinking", help="Without: ask for the answer at once.")
    ] = True,
    prefix: Annotated[
        str | None, typer.Option(help="With --no-thinking: the first words of the answer.")
    ] = None,
    sweep_caps: Annotated[
        str | None,
        typer.Option(help="Many caps in one pass in place of --max-tokens, such as 16,64."),
    ] = None,
    sweep_waits: Annotated[
        str | None, typer.Option(help="Many numbers of Waits, such as 0,1,2, likewise.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples a question; more than one needs a temperature.")
    ] = 1,
    temperature: given.Temperature = 0.0,
    top_p: given.TopP = 1.0,
    top_k: given.TopK = 0,
    min_p: given.MinP = 0.0,
    repetition_penalty: given.Repetition = 1.0,
    presence_penalty: given.Presence = 0.0,
    frequency_penalty: given.Frequency = 0.0,
    seed: given.Seed = 0,
    system: given.System = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="A file for the run, which diff reads; of a sweep one a rung. It is a new one, or "
            "that of the same command, which then goes on."
        ),
    ] = None,
    store: given.Store = None,
    as_json: given.AsJson = False,
) -> None:
    """Ask a benchmark and grade the answers.

    Prints accuracy with its interval, tokens and errors. The problems are the embedded test
    questions, unless --benchmark or --data names others.

    \b
    Example:
      s1lab evaluate --n 50 --waits 2 --store runs/x.db --save runs/x.jsonl
      s1lab evaluate --n 50 --sweep-caps 16,64 --sweep-waits 0,1,2
      s1lab evaluate --model http://host:8000/v1 --api-key env:KEY \\
          --benchmark aime24
      s1lab evaluate --benchmark reasoning-gym/gcd --n 20 \\
          --benchmark-option seed=1
    """
    with work(goes_on(store)):
        from s1lab.evaluation.evaluate import AnswersCut, checksum

        rungs = numbers("--sweep-caps", sweep_caps), numbers("--sweep-waits", sweep_waits)
        sweeping = sweep_caps is not None or sweep_waits is not None
        if sweeping and (not thinking or max_tokens is not None or waits):
            raise ValueError(
                "a sweep has its caps and Waits from --sweep-caps and --sweep-waits: leave out the "
                "other budget"
            )
        names = lab.methods.ladder.names(*rungs) if sweeping else [""]
        files = {name: rung_file(save, name) for name in names}
        if store is not None:
            check_writable(store)
        if samples > 1 and not temperature:
            raise ValueError(
                f"--samples {samples}: they are all the same at temperature 0; give --temperature, "
                "or leave it out"
            )
        given.check_model(model, engine=engine)
        # errors in these are reported before a benchmark is fetched
        given.engine_options(option, api_key)
        sampling: dict[str, Any] = {
            "temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p,
            "repetition_penalty": repetition_penalty, "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty, "seed": seed,
        }  # fmt: skip
        settings = lab.questions.Options(lab.engine.Sampling(**sampling), system=system)
        budget = lab.Budget(
            max_tokens,
            min_tokens,
            waits,
            wait,
            on_cut,
            answer_tokens,
            compat,  # type: ignore[arg-type]
            answer_room,
        )
        _check_thinking(thinking, prefix, budget)
        # What a file of the same command says, as far as it is known before the model is loaded.
        expected = settings.settings([lab.Budget()] if sweeping else [budget] if thinking else [])
        expected |= {"samples": samples, "call": "sweep" if sweeping else "evaluate"}
        expected |= {} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens}
        budgets = lab.methods.ladder.rungs_of(budget, *rungs) if sweeping else [budget]

        def check_files(known: dict[str, Any]) -> None:
            for (name, file), one in zip(files.items(), budgets, strict=True):
                rung = {"rung": name} if name else {}
                check_file(file, expected | rung | known, one if thinking else None)

        check_files({})
        options = given.key_values(benchmark_option, OPTION, "seed=1", ("n", "path"))
        problems = _problems(benchmark, path, data, n, options)
        with given.load(model, engine, option, api_key) as loaded, warnings.catch_warnings():
            warnings.simplefilter("ignore", AnswersCut)  # the report below shows it
            described = lab.describe(loaded)
            known = {name: described[name] for name in ("model", "engine", "dtype", "context")}
            if save is not None and "question" in problems.column_names:
                questions = {"questions": len(problems), "checksum": checksum(problems["question"])}
                known["benchmark"] = {"name": problems.info.dataset_name} | questions
            check_files(known)
            asked = sampling | {"samples": samples, "system": system}
            bare: dict[str, Any] = {
                "thinking": False,
                "prefix": prefix,
                "answer_tokens": answer_tokens,
            }

            def ask(problems: Dataset, **where: Any) -> dict[str, lab.Results]:
                if sweeping:
                    return dict(lab.sweep(loaded, problems, *rungs, budget, **(asked | where)))
                if thinking:
                    return {"": lab.evaluate(loaded, problems, budget, **asked, **where)}
                return {"": lab.evaluate(loaded, problems, **asked, **bare, **where)}

            if len(problems) >= LONG:
                _announce_long(loaded.name, problems, ask)
            found = ask(problems, store=store, progress=told_by_terminal())
        # The results are printed whatever happens to their files.
        unsaved: dict[str, OSError] = {}
        for name, file in files.items():
            try:
                if file:
                    save_run(found[name], file)
            except OSError as why:
                unsaved[name] = why
        saved = {name: file for name, file in files.items() if file and name not in unsaved}
        shared: dict[str, Any] = {
            "made": next(iter(found.values())).made,
            "budget": asdict(budget) if thinking else None,
            "store": str(store) if store else None,
        }
        facts = {
            name: _facts(results) | {"saved": str(saved[name]) if name in saved else None}
            for name, results in found.items()
        }
        text = _text(found, _said(budget) if thinking else "no thinking", benchmark)
        if sweeping:
            shared |= _one_pass(found)
            text.append(
                f"{shared['written']:,} tokens written in one pass for all rungs, "
                f"{shared['alone']:,} one by one"
            )
        text += [f"saved {file}" for file in saved.values()]
        text += [f"stored in {store}"] if store else []
    tell(shared | ({"rungs": facts} if sweeping else facts[""]), "\n".join(text), as_json)
    with work():
        for fault in unsaved.values():
            raise type(fault)(f"{fault}; the results above are not saved")
    if any(results.failed for results in found.values()):
        raise typer.Exit(FAILED)


def _announce_long(
    engine: str, problems: Dataset, ask: Callable[..., dict[str, lab.Results]]
) -> None:
    """Say about how long many questions will take, from the time of the first ones.

    A server is not asked more than it must be: its requests may cost money.
    """
    n = len(problems)
    if engine == "server":
        announce(f"asking the server {n:,} questions", always=True)
        return
    announce(f"timing the first {TRIED} of {n:,} questions …", always=True)
    began = time.monotonic()
    ask(problems.select(range(TRIED)), store=None, progress=False)
    spent = time.monotonic() - began
    announce(
        f"{n:,} questions take about {duration(spent * n / TRIED)} ({TRIED} of them took "
        f"{spent:.1f} s)",
        always=True,
    )


def _one_pass(found: dict[str, lab.Results]) -> dict[str, int]:
    """Count the tokens of a sweep: as they were written, and of its rungs one by one."""
    ladders = [
        lab.methods.Ladder("", (), (), [*traces])
        for traces in zip(*(results.traces for results in found.values()), strict=True)
    ]
    return {
        "written": sum(one.written for one in ladders),
        "alone": sum(one.alone for one in ladders),
    }


def _check_thinking(thinking: bool, prefix: str | None, budget: lab.Budget) -> None:
    """Refuse a budget without thinking, and the first words of an answer with it."""
    bare = lab.Budget(answer_tokens=budget.answer_tokens, answer_room=budget.answer_room)
    if not thinking and budget != bare:
        raise ValueError(
            "--no-thinking leaves nothing to budget: leave the options of the budget out but "
            "--answer-tokens"
        )
    if thinking and prefix is not None:
        raise ValueError(
            "--prefix opens an answer that no thinking comes before: give --no-thinking too, or "
            "--on-cut"
        )


def _problems(
    benchmark: str | None,
    path: Path | None,
    data: Path | None,
    n: int | None,
    options: dict[str, Any],
) -> Dataset:
    if options and benchmark is None:
        raise ValueError(f"{OPTION} is an option of a --benchmark: name the benchmark too")
    if benchmark is not None and data is not None:
        raise ValueError("--benchmark and --data name two sets of problems: give one of them")
    if path is not None and benchmark is None:
        raise ValueError(
            "--path is the file of a --benchmark: name the benchmark too, or give the file as "
            "--data"
        )
    if benchmark is None and data is None:
        if n is not None and n >= LONG:
            make, began = lab.tiny.problems, time.monotonic()
            make(TRIED)
            spent = (time.monotonic() - began) * n / TRIED
            announce(f"making {n:,} questions takes about {duration(spent)} …", always=True)
        return lab.benchmarks.load("embedded", n=n or 100)
    problems = (
        lab.benchmarks.load(str(benchmark), path, n=n, **options)
        if data is None
        else lab.curate.read(data, ("question", "answer"))
    )
    if n is not None and n > len(problems):
        raise ValueError(
            f"--n {n}: there are only {len(problems)} questions; leave it out to ask all"
        )
    return problems if n is None else problems.select(range(n))


def _facts(results: lab.Results) -> dict[str, Any]:
    failed = [row for row in results.rows if row["error"] is not None]
    return {
        "questions": len(results.rows),
        "samples": len(results.traces) // len(results.rows),
        "accuracy": results.accuracy,
        "low": results.interval.low,
        "high": results.interval.high,
        "right": sum(results.verdicts),
        "thinking_tokens": results.thinking_tokens,
        "written": lab.methods.cost(*results.traces).sampled,
        "failed": results.failed,
        "not_graded": results.grading_errors,
        "answers_cut": results.answers_cut,
        "errors": [{"question": row["question"], "error": row["error"]} for row in failed],
    }


def _said(budget: lab.Budget) -> str:
    """Describe a budget in a few words, without its texts."""
    parts = {"cap": budget.max_tokens, "floor": budget.min_tokens, "Waits": budget.waits}
    limits = [f"{name} {value}" for name, value in parts.items() if value]
    return ", ".join([*(limits or ["own stop"]), f"{budget.compat} semantics"])


def _text(found: dict[str, lab.Results], budget: str, benchmark: str | None) -> list[str]:
    first = next(iter(found.values()))
    made, samples = first.made, len(first.traces) // len(first.rows)
    shown = [
        f"{made['model']} ({made['engine']}, {made['dtype']}) on {len(first.rows)} questions"
        + (f" of {benchmark}" if benchmark else "")
        + (f", {samples} samples each" if samples > 1 else "")
        + (f", {budget}" if "" in found else "")
        + ": accuracy in % with its interval (Wilson 95 %), thinking tokens a question"
    ]
    for name, results in found.items():
        label = f"{name:<10}" if name else ""
        facts = _facts(results)
        tokens = (
            f"{results.thinking_tokens:,.0f} thinking tokens, {facts['written']:,} written in all"
        )
        shown.append(f"{label}accuracy {results.interval}, {tokens}")
        if facts["answers_cut"]:
            shown.append(
                f"{facts['answers_cut']} of {len(results.traces)} answers were CUT before their "
                "end: give more --answer-tokens or --answer-room, or a longer context"
            )
        if facts["failed"]:
            shown.append(
                f"{facts['failed']} questions FAILED and count as wrong, {facts['not_graded']} of "
                "them in grading:"
            )
            shown += [
                f"  {e['question']!r:.60}: {e['error']}" for e in facts["errors"][:ERRORS_SHOWN]
            ]
            shown += (
                [f"  and {facts['failed'] - ERRORS_SHOWN} more"]
                if facts["failed"] > ERRORS_SHOWN
                else []
            )
    if not any(results.failed for results in found.values()):
        shown.append("no errors")
    known = lab.benchmarks.BENCHMARKS.get(made["benchmark"]["name"] or "")
    if benchmark and known and known.paper and known.rows == len(first.rows):
        runs = {name or made["model"]: results for name, results in found.items()}
        shown += ["", str(lab.benchmarks.compare(runs, benchmark))]
    return shown
