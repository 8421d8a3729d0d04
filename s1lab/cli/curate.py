"""``s1lab curate``: reduce a pool to a thousand rows, and report what was dropped and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.shell import goes_on, new_file, tell, told_by_terminal, work
from s1lab.storage.files import local, write_whole

if TYPE_CHECKING:
    from datasets import Dataset

    from s1lab.curate import Report


def curate(
    out: Annotated[
        Path,
        typer.Option(
            help="A new file for the chosen rows (JSON lines); its report goes beside it."
        ),
    ],
    pool: Annotated[
        Path | None,
        typer.Option(help="A local pool: parquet, JSON lines or CSV; without it the embedded one."),
    ] = None,
    pool_size: Annotated[
        int | None, typer.Option(min=1, help="Rows of the embedded pool. [default: all 59,029]")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of test questions, as often as needed; without it the embedded ones."
        ),
    ] = None,
    ngram: Annotated[
        int,
        typer.Option(min=1, help="Words in a row that make a test question known (the paper: 8)."),
    ] = 8,
    difficulty: Annotated[
        list[str] | None,
        typer.Option(
            help="A model; what it solves is dropped. As often as needed (the paper: two)."
        ),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="The first words of those models' answers, such as 'Answer:'."),
    ] = None,
    engine: given.EngineName = "auto",
    option: given.EngineOptions = None,
    api_key: given.Key = None,
    chosen: Annotated[int, typer.Option(min=1, help="How many rows to choose at the end.")] = 1000,
    variant: Annotated[
        str, typer.Option(help="paper (its Algorithm 1), or code (the authors' notebook).")
    ] = "paper",
    domain: Annotated[str, typer.Option(help="The column to spread over.")] = "domain",
    long_tokens: Annotated[
        int,
        typer.Option(min=0, help="Of MATH, longer right traces are all taken (the paper: 5600)."),
    ] = 5600,
    seed: Annotated[int, typer.Option(help="Of the draws, and of the embedded pool.")] = 0,
    store: given.Store = None,
    as_json: given.AsJson = False,
) -> None:
    """Curate a pool of questions with traces.

    Takes the steps of the paper's section 2: quality, test questions, repeats, difficulty (if a
    model is named), choice. Prints the funnel.

    \b
    Example:
      s1lab curate --pool-size 2000 --ngram 13 --chosen 40 --out runs/forty.jsonl
      s1lab curate --ngram 13 --difficulty s1-tiny-base --difficulty s1-tiny \\
          --prefix Answer: --long-tokens 400 --store runs/difficulty.db \\
          --out runs/thousand.jsonl
    """
    from tqdm.auto import tqdm

    out = local(out)
    with work(goes_on(store) if difficulty else "nothing of it is kept", also=(TypeError,)):
        new_file("--out", out)
        report = out.with_name(out.name + ".report.json")
        if pool is not None and pool_size is not None:
            raise ValueError(
                "--pool-size is of the embedded pool: leave it out where --pool names another"
            )
        reports: list[Report] = []
        with tqdm(
            total=4 + bool(difficulty), unit="step", disable=not told_by_terminal(), leave=False
        ) as bar:

            def after(step: tuple[Dataset, Report]) -> Dataset:
                reports.append(step[1])
                bar.update()
                return step[0]

            for name in difficulty or ():
                given.check_model(name, "--difficulty")
            bar.set_description("reading")
            left = (
                (lab.tiny.pool(seed=seed) if pool_size is None else lab.tiny.pool(pool_size, seed))
                if pool is None
                else lab.curate.read(pool)
            )
            tests = [lab.curate.read(path) for path in against or ()] or [lab.tiny.benchmark()]
            bar.set_description("curating")
            left = after(lab.curate.quality(left, progress=told_by_terminal()))
            left = after(lab.curate.decontaminate(left, tests, ngram))
            left = after(lab.curate.deduplicate(left))
            if difficulty:
                models: dict[str, Any] = {"engine": engine, "progress": told_by_terminal()}
                models |= given.engine_options(option, api_key)
                left = after(
                    lab.curate.difficulty(left, difficulty, prefix=prefix, store=store, **models)
                )
            columns: dict[str, Any] = {"domain": domain, "long_tokens": long_tokens}
            left = after(lab.curate.select(left, chosen, seed, variant, **columns))
        digest = lab.curate.write(left, out)
        facts = {
            "pool": str(pool) if pool else "embedded",
            "steps": [_facts(step) for step in reports],
            "rows": len(left),
            "out": str(out),
            "sha256": digest,
            "report": str(report),
        }
        unsaved = None
        try:
            _write_report(report, facts, reports)
        except OSError as why:  # the rows are there, so what was done is told
            unsaved, facts["report"] = why, None
        notes = [f"({step.stage}: {note})" for step in reports for note in step.notes]
        text = [
            lab.curate.funnel(*reports),
            *notes,
            f"wrote {out}, sha256 {digest}",
            *([] if unsaved else [f"wrote {report}: each drop, and why"]),
        ]
    tell(facts, "\n".join(text), as_json)
    with work():
        if unsaved:
            raise unsaved


def _write_report(path: Path, facts: dict[str, Any], reports: list[Report]) -> None:
    """Write the facts as JSON, with each dropped row of each step."""
    steps = [
        _facts(step) | {"rows": list(zip(step.rows, step.rules, step.whys, strict=True))}
        for step in reports
    ]

    whole = json.dumps(facts | {"steps": steps}, ensure_ascii=False)
    write_whole(path, [f"{whole}\n".encode()])


def _facts(step: Report) -> dict[str, Any]:
    return {
        "stage": step.stage,
        "before": step.before,
        "after": step.after,
        "dropped": step.counts,
        "notes": step.notes,
    }
