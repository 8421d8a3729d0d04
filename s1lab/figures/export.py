"""Export a figure: its data as JSON, read from the figure itself, and pictures of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.io import from_json

from s1lab.storage.files import local, write_together

LIVE = "application/vnd.plotly.v1+json"  # what plotly's viewer in JupyterLab takes
DATA = "application/vnd.s1lab.figure+json"  # the same content; no viewer takes it
WIDTH = 900  # pixels of a picture: the width of an output in JupyterLab and of a code host's page
MEASURED, PAPERS = "measured", "the paper's"  # key of a trace's meta: where the trace is from


def shown(figure: go.Figure) -> list[dict[str, Any]]:
    """Return the content of a figure as plain data.

    Args:
        figure: The figure.

    Returns:
        The panels, each with its title, what its axes count, and its traces. A trace has a name,
        its source (measured, or the paper's), and points: x, y, a label if there is one, and the
        interval as low and high. If y is a name, the interval is that of x. Numbers have six
        digits.

    Example:
        content = lab.figures.shown(lab.figures.histogram({"all": [10, 20, 40, 60]}, "tokens"))
        print(content[0]["traces"][0]["name"])
    """
    panels: dict[tuple[str, str], dict[str, Any]] = {}
    band: list[dict[str, float]] = []
    for trace in figure.data:
        made = trace.to_plotly_json()
        # the band of the next line: along its upper edge, and back
        if made.get("fill") == "toself":
            half = len(made["y"]) // 2
            band = [
                {"low": low, "high": high}
                for high, low in zip(made["y"][:half], made["y"][half:][::-1], strict=True)
            ]
            continue
        axes = made.get("xaxis", "x"), made.get("yaxis", "y")
        panel = panels.setdefault(axes, _panel(figure, *axes))
        points = [
            {key: _plain(value) for key, value in point.items()}
            for i, point in enumerate(_points(made, band))
            if _seen(made, i)
        ]
        if points:
            panel["traces"].append(
                {"name": made.get("name"), "source": made.get("meta"), "points": points}
            )
        band = []
    return [panel for panel in panels.values() if panel["traces"]]


def _panel(figure: go.Figure, x: str, y: str) -> dict[str, Any]:
    """Find a panel by its axes, still without traces.

    A title is in the middle above the panel; the title of a row of y axes is at its left, that of
    a column of x axes below it.
    """
    across, along = figure.layout[f"xaxis{x[1:]}"], figure.layout[f"yaxis{y[1:]}"]
    (left, right), (bottom, top) = across.domain or (0, 1), along.domain or (0, 1)
    titles = [
        a.text for a in figure.layout.annotations if (a.xref, a.yref) == ("paper", "paper")
        and abs(a.x - (left + right) / 2) < 1e-6 and abs(a.y - top) < 1e-6
    ]  # fmt: skip
    beside = [
        a.title.text
        for a in figure.select_yaxes()
        if (a.domain or (0, 1)) == (bottom, top) and a.title.text
    ]
    below = [
        a.title.text
        for a in figure.select_xaxes()
        if (a.domain or (0, 1)) == (left, right) and a.title.text
    ]
    return {
        "title": re.sub("<[^>]*>", "", titles[0].replace("<br>", ", ")) if titles else None,
        "x": across.title.text or (below[0] if below else None),
        "y": along.title.text or (beside[0] if beside else None),
        "traces": [],
    }


def _points(made: Mapping[str, Any], band: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return a trace's points, with their labels and intervals, in whatever way these are drawn."""
    points: list[dict[str, Any]] = [{} for _ in (made["x"] if made.get("x") is not None else ())]
    labels = made.get("customdata")
    for i, point in enumerate(points):
        if labels is not None:
            point["label"] = labels[i][0]
        point |= {key: made[key][i] for key in "xy" if made.get(key) is not None}
        for key in "xy":
            if error := made.get(f"error_{key}"):
                point |= {
                    "low": point[key] - error["arrayminus"][i],
                    "high": point[key] + error["array"][i],
                }
        if band:
            point |= band[i]
    return points


def _seen(made: Mapping[str, Any], i: int) -> bool:
    """Return whether a trace's mark is drawn."""
    opacity = made.get("marker", {}).get("opacity", 1)
    return bool(opacity[i] if isinstance(opacity, (list, tuple)) else opacity)


def _plain(value: Any) -> Any:
    """Return a value in JSON's types."""
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) else float(f"{value:.6g}")


def save(figure: go.Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure: its data (`shown`) as NAME.json, pictures as NAME.png and NAME.svg.

    A Chrome or Chromium draws the pictures (through kaleido). On a machine without one, only the
    data is written. The same figure gives the same bytes on the same machine, so a committed file
    changes only when its content does.

    Args:
        figure: The figure.
        folder: The folder for the files.
        name: The files' name without ending.

    Returns:
        The paths written. The figure is written whole or not at all.

    Raises:
        OSError: A file can't be written. The message names it.

    Example:
        figure = lab.figures.histogram({"all": [10, 20, 40, 60]}, "tokens")
        lab.figures.save(figure, "figures", "lengths")
    """
    files = {"json": (json.dumps(shown(figure), indent=1) + "\n").encode()}
    for kind in ("png", "svg"):
        picture = _drawn(figure, kind)
        if picture is not None:
            files[kind] = _with_steady_ids(picture, name) if kind == "svg" else picture
    # A full disk leaves the old figure as it was, all of its files.
    paths = {local(folder) / f"{name}.{kind}": content for kind, content in files.items()}
    write_together(paths)
    return list(paths)


def _with_steady_ids(svg: bytes, name: str) -> bytes:
    """Replace plotly's random ids in an SVG by ids made of its name and a count."""
    for count, drawn in enumerate(
        dict.fromkeys(re.findall(rb"(?:\bdefs-|\btrace|\bid=\"p[\w-]*-)([0-9a-f]{6})\b", svg))
    ):
        svg = svg.replace(drawn, f"{name}-{count}".encode())
    return svg


def show(figure: go.Figure, alt: str = "", *, live: bool = False) -> Any:
    """Show a figure in a notebook as a picture, or in plotly's viewer.

    The picture fits the page in JupyterLab, in an exported page and on a code host. It is the
    default, because plotly's viewer in JupyterLab has three faults. It shows a bundle's picture in
    its natural size, which is cut off. When the pointer enters, it draws the figure and writes a
    new picture into the notebook, which is then changed. Without a picture it does so as soon as
    the notebook is opened, and a code host has nothing to show. An SVG is no way out: code hosts
    often show none, and its bytes depend on the fonts of the machine. Nbval skips a PNG.

    The figure's data is kept beside the picture, so the book can draw it live.

    Args:
        figure: The figure.
        alt: What is seen in it, in a sentence, for readers who can't see it. It is kept in the
            output's metadata. The book and nbconvert's template "classic" show it; JupyterLab and
            nbconvert's default template give pictures no text.
        live: Show it in plotly's viewer, to zoom and to read single points. This is also what one
            sees on a machine without a Chrome or Chromium to draw pictures.

    Example:
        figure = lab.figures.histogram({"all": [10, 20, 40, 60]}, "tokens")
        lab.figures.show(figure, alt="Four lengths between 10 and 60 tokens")
    """
    from IPython.display import display

    display(alive(figure) if live else bundle(figure), metadata=described(alt), raw=True)


def described(alt: str) -> dict[str, Any]:
    """Return the metadata of a shown figure: its text, and the width of its picture in pixels."""
    return {"image/png": {"width": WIDTH} | ({"alt": alt} if alt else {})}


def bundle(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as notebooks hold it: a picture, and the figure's data.

    A Chrome or Chromium draws the picture. Without one, plotly's viewer shows the figure.
    """
    picture = _drawn(figure, "png")
    shown_as = (
        {"image/png": base64.b64encode(picture).decode()} if picture is not None else alive(figure)
    )
    return shown_as | {DATA: json.loads(figure.to_json())}


def alive(figure: go.Figure) -> dict[str, Any]:
    """Return a figure for plotly's viewer."""
    return {LIVE: json.loads(figure.to_json())}


def can_draw() -> bool:
    """Return whether this machine can write pictures: whether a Chrome or Chromium answers.

    Example:
        if lab.figures.can_draw():
            print("figures are also written as pictures")
    """
    return _drawn(go.Figure(), "png") is not None


def _drawn(figure: go.Figure, kind: str) -> bytes | None:
    """Return the figure as a picture; None without a browser to draw it."""
    import logging

    # real failures raise an exception; the rest is noise in a notebook
    for name in ("kaleido", "choreographer"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return _picture(figure.to_json(), kind)
    except (RuntimeError, ValueError, ImportError, OSError):
        return None
    except Exception as why:  # kaleido's "no Chrome" errors share only the base class Exception
        if "chrom" in f"{type(why).__name__} {why}".lower():
            return None
        raise


@lru_cache(maxsize=16)
def _picture(figure: str, kind: str) -> bytes:
    """Draw a figure that is given as JSON. A browser starts for each, which takes seconds.

    A notebook shows a figure and saves it later: then it is drawn once.
    """
    scale = 2 if kind == "png" else 1  # sharp on a screen with small pixels too
    return bytes(from_json(figure).to_image(format=kind, width=WIDTH, scale=scale))
