"""The command line: what the library does, from a shell. One module a concern; a new command is a function and a line below."""

from __future__ import annotations

from typing import Annotated

import typer

from s1lab.cli.asking import ladder, run
from s1lab.cli.costs import plan
from s1lab.cli.curation import curate
from s1lab.cli.evaluation import evaluate
from s1lab.cli.speed import bench
from s1lab.cli.stored import diff, runs
from s1lab.cli.tuning import sft

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

for command in (run, ladder, evaluate, curate, sft, plan, diff, bench, runs):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        import s1lab

        typer.echo(s1lab.__version__)
        raise typer.Exit


@app.callback()
def s1lab_(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Simple test-time scaling: ask a model under a thinking budget, and measure what the thinking buys.

    Results go to standard output, all else to standard error. With --json the results are one JSON document. A bar shows
    progress where standard error is a terminal.

    \b
    Exit codes:
      0    done
      1    done, but a question failed (its error is shown), or the two runs of diff differ
      2    bad input, or something that is needed is missing: one sentence says what, and the fix
      130  interrupted by Ctrl-C: one sentence says what is kept
    """
