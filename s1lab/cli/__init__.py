"""The command line: the library from a shell.

Each concern has one module. A new command is a function there and a line below.
"""

from __future__ import annotations

from typing import Annotated

import typer

from s1lab.cli.curate import curate
from s1lab.cli.evaluate import evaluate
from s1lab.cli.run import ladder, run
from s1lab.cli.runs import diff, runs
from s1lab.cli.sft import sft

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (run, ladder, evaluate, curate, sft, diff, runs):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        import s1lab

        typer.echo(s1lab.__version__)
        raise typer.Exit


@app.callback()
def s1lab_(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Simple test-time scaling: ask a model under a thinking budget, and measure the gain.

    Results go to standard output, everything else to standard error. With --json the results are
    one JSON document. If standard error is a terminal, a bar shows progress.

    \b
    Exit codes:
      0    done
      1    done, but a question failed (its error is shown), or the two runs of diff differ
      2    bad input, or something is missing: one sentence names it and the fix
      130  interrupted by Ctrl-C: one sentence says what is kept
    """
