"""``s1lab plan``: what a profile will cost, before any of it is run."""

from __future__ import annotations

from typing import Annotated

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.shell import tell, work
from s1lab.repository import needed


def plan(
    profile: Annotated[str, typer.Argument(help="A name from notebooks/profiles, or a .yaml file.")] = "tiny",
    measure: Annotated[
        bool, typer.Option("--measure", help="Take the speed of the embedded model here, for a profile of it.")
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """Say what a profile comes to: tokens, memory, time and price.

    Nothing is downloaded and no model is asked, unless --measure takes some seconds to see how fast this machine is.

    \b
    Example:
      s1lab plan s1-32b
    """
    from tools.plan import plan as planned

    needed("a plan of the notebooks")
    with work():
        if measure:
            with lab.load("s1-tiny") as engine:
                found = planned(profile, engine)
        else:
            found = planned(profile)
    tell(found.as_dict(), str(found), as_json)
