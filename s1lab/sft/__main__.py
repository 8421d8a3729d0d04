"""``python -m s1lab.sft``: the command ``s1lab sft`` as a module.

``accelerate launch`` and ``torchrun`` start a module.
"""

import typer

from s1lab.cli.sft import sft as main

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    app(prog_name="python -m s1lab.sft")
