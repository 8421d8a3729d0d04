"""What every notebook does and no lesson is about: check parameters, name versions, keep results.

papermill only warns of a parameter that the notebook does not have, and hands on every value as it
is. `check_parameters` says what is wrong in one sentence, before anything runs. It also finds the
repository's folder of notebooks, so that a run without ``--cwd`` writes where the others do.
`versions` names the software of a run, and `save_record` writes its results and figures.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s1lab.storage.files import local, write_whole

if TYPE_CHECKING:
    import plotly.graph_objects as go

INJECTED = "# Parameters"  # how the cell begins that papermill adds


class ParameterError(ValueError):
    """A parameter of a notebook that can't be used. A notebook shows its sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def check_parameters(names: dict[str, Any], **least: int) -> None:
    """Check the parameters that a notebook was started with.

    A text that reads as a value of the right kind is taken as that value: papermill's
    ``-p caps "[16, 64]"`` is a text.

    Args:
        names: The notebook's ``globals()``. Parameters that were read from a text are set there.
        **least: How many values a list needs at least, such as ``caps=3``.

    Raises:
        ParameterError: A parameter is unknown, or its value is of another kind or too short.

    Example:
        from s1lab.interop.notebooks import check_parameters

        caps = [16, 64]
        check_parameters(globals(), caps=1)
    """
    cells = [source for source in names.get("In", ()) if isinstance(source, str)]
    own = next(filter(None, map(_assigned, cells)), {})
    for cell in cells:
        if not cell.lstrip().startswith(INJECTED):
            continue
        for name in _assigned(cell):
            if name not in own:
                near = difflib.get_close_matches(name, own, 1)
                fix = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(own)}"
                raise ParameterError(f"this notebook has no parameter {name!r}: {fix}")
    for name, default in own.items():
        names[name] = value = _read(names[name], default)
        if not alike(default, value):
            raise ParameterError(
                f"{name}={value!r:.60} is not of the kind of {default!r}: give such a value, for a "
                f'list as in -p {name} "[16, 64]"'
                if isinstance(default, list)
                else f"{name}={value!r:.60} is not of the kind of {default!r}: give such a value"
            )
    for name, n in least.items():
        if len(names[name]) < n:
            raise ParameterError(
                f"{name}={names[name]!r:.60} has too few values: this notebook needs at least {n}"
            )
    if cells:
        _enter_notebooks()


def alike(own: Any, value: Any) -> bool:
    """Return whether a value is of the same kind as the notebook's own.

    None counts as a number or a text. Numbers are not negative.
    """
    if own is None or value is None:
        return value is None or not isinstance(own, (list, dict, bool))
    if isinstance(own, bool) or isinstance(value, bool):
        return isinstance(own, bool) and isinstance(value, bool)
    if isinstance(own, (int, float)):
        return (
            isinstance(value, int if isinstance(own, int) else (int, float)) and 0 <= value < 1e15
        )
    if isinstance(own, list):
        return isinstance(value, list) and (not own or all(alike(own[0], v) for v in value))
    return isinstance(value, type(own))


def _read(value: Any, own: Any) -> Any:
    """Return the value that a text means, if it is of the kind that is wanted; else the text."""
    if not isinstance(value, str) or own is None or isinstance(own, str):
        return value
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    read = list(read) if isinstance(read, tuple) else read
    return read if alike(own, read) else value


def _assigned(cell: str) -> dict[str, Any]:
    """Return the values that a cell of parameters assigns; empty for any other cell."""
    try:
        lines = ast.parse(cell).body
        return {
            line.targets[0].id: ast.literal_eval(line.value)  # type: ignore[attr-defined]
            for line in lines
        }
    except (ValueError, SyntaxError, AttributeError):
        return {}


def _enter_notebooks() -> None:
    """Work in the repository's folder of notebooks, which their paths are relative to.

    A notebook that runs anywhere else, such as a copy in a folder of its own, stays there.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "profiles").is_dir() and (folder / "s1lab").is_dir():
            os.chdir(folder / "notebooks")
            return


def versions(*packages: str) -> str:
    """Return the versions of Python, s1lab and other packages, in one line.

    Args:
        *packages: Names of packages as pip knows them. One that is not installed is said to be so.

    Example:
        >>> from s1lab.interop.notebooks import versions
        >>> versions("torch").startswith("python 3")
        True
    """
    names = {"python": platform.python_version()}
    for package in ("s1lab", *packages):
        try:
            names[package] = version(package)
        except PackageNotFoundError:
            names[package] = "not installed"
    return ", ".join(f"{name} {number}" for name, number in names.items())


def save_record(
    name: str,
    results: str | Path,
    record: Mapping[str, Any],
    figures: str | Path = "",
    pictures: Mapping[str, go.Figure] | None = None,
) -> list[Path]:
    """Write what a notebook measured as JSON, and its figures.

    Args:
        name: The notebook's name, which becomes the file's.
        results: Folder of the JSON file. It is made if needed.
        record: What was measured, in JSON's types.
        figures: Folder of the figures.
        pictures: Figures by the name of their files.

    Returns:
        The paths written, the record first. See `s1lab.figures.export.save` for the figures.

    Raises:
        OSError: A file can't be written. The message names it.

    Example:
        from s1lab.interop.notebooks import save_record

        save_record("03_budget_forcing", "../runs/mine", {"accuracy": 63.6})
    """
    from s1lab.figures.export import save

    path = local(results) / f"{name}.json"
    write_whole(path, [(json.dumps(dict(record), indent=1) + "\n").encode()])
    written = [path]
    for picture, figure in (pictures or {}).items():
        written += save(figure, figures, picture)
    return written
