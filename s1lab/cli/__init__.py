"""The command line: the library from a shell.

Each concern has one module. A new command is a function there and a line below.
"""

from __future__ import annotations

import sys

try:
    from typing import Annotated

    import typer

    from s1lab.cli.curate import curate
    from s1lab.cli.evaluate import evaluate
    from s1lab.cli.run import ladder, run
    from s1lab.cli.runs import diff, runs
    from s1lab.cli.sft import sft
except KeyboardInterrupt:  # in the first moment; later, `s1lab.cli.shell.work` answers a Ctrl-C
    sys.stderr.write("s1lab: interrupted: nothing was begun\n")
    sys.exit(130)

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
      1    done, but a question failed (its error is shown), or two runs differ
      2    bad input, or something is missing: one sentence names it and the fix
      130  interrupted by Ctrl-C: one sentence says what is kept
    """
