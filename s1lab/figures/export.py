"""What becomes of a figure: its data as JSON, read off the figure itself, and pictures of it in files and in notebooks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

MEASURED, PAPERS = "measured", "the paper's"  # where a trace is from, in its meta


def shown(figure: go.Figure) -> list[dict[str, Any]]:
    """What a figure shows, as plain data: its panels, each with its title, what its axes count, and its traces.

    A trace has a name, its source (measured, or the paper's), and points: x, y, a label where there is one, and the interval as
    low and high, which is x's where y is a name. Numbers have six digits.
    """
    panels: dict[tuple[str, str], dict[str, Any]] = {}
    band: list[dict[str, float]] = []
    for trace in figure.data:
        made = trace.to_plotly_json()
        if made.get("fill") == "toself":  # the band of the next line: there along its upper edge, and back
            half = len(made["y"]) // 2
            band = [{"low": low, "high": high} for high, low in zip(made["y"][:half], made["y"][half:][::-1], strict=True)]
            continue
        axes = made.get("xaxis", "x"), made.get("yaxis", "y")
        panel = panels.setdefault(axes, _panel(figure, *axes))
        points = [
            {key: _plain(value) for key, value in point.items()} for i, point in enumerate(_points(made, band)) if _seen(made, i)
        ]
        if points:
            panel["traces"].append({"name": made.get("name"), "source": made.get("meta"), "points": points})
        band = []
    return [panel for panel in panels.values() if panel["traces"]]


def _panel(figure: go.Figure, x: str, y: str) -> dict[str, Any]:
    """A panel by its axes, without traces yet: a title stands in the middle above it, that of a row of y axes at its left."""
    across, along = figure.layout[f"xaxis{x[1:]}"], figure.layout[f"yaxis{y[1:]}"]
    (left, right), (bottom, top) = across.domain or (0, 1), along.domain or (0, 1)
    titles = [
        a.text for a in figure.layout.annotations if (a.xref, a.yref) == ("paper", "paper")
        and abs(a.x - (left + right) / 2) < 1e-6 and abs(a.y - top) < 1e-6
    ]  # fmt: skip
    beside = [a.title.text for a in figure.select_yaxes() if (a.domain or (0, 1)) == (bottom, top) and a.title.text]
    return {
        "title": re.sub("<[^>]*>", "", titles[0]) if titles else None,
        "x": across.title.text,
        "y": along.title.text or (beside[0] if beside else None),
        "traces": [],
    }


def _points(made: Mapping[str, Any], band: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """A trace's points, with their labels and intervals, however these are drawn."""
    points: list[dict[str, Any]] = [{} for _ in (made["x"] if made.get("x") is not None else ())]
    labels = made.get("customdata")
    for i, point in enumerate(points):
        if labels is not None:
            point["label"] = labels[i][0]
        point |= {key: made[key][i] for key in "xy" if made.get(key) is not None}
        for key in "xy":
            if error := made.get(f"error_{key}"):
                point |= {"low": point[key] - error["arrayminus"][i], "high": point[key] + error["array"][i]}
        if band:
            point |= band[i]
    return points


def _seen(made: Mapping[str, Any], i: int) -> bool:
    """Whether a trace's mark is drawn."""
    opacity = made.get("marker", {}).get("opacity", 1)
    return bool(opacity[i] if isinstance(opacity, (list, tuple)) else opacity)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) else float(f"{value:.6g}")


def save(figure: go.Figure, folder: str | Path, name: str) -> list[Path]:
    """Write what a figure shows (:func:`shown`) as NAME.json, and the figure as NAME.png and NAME.svg; the paths written.

    The pictures are drawn by a Chrome or Chromium (through kaleido); on a machine without one only the data is written.
    The same figure gives the same bytes on the same machine, so that what is committed changes only when what it shows does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json"]
    paths[0].write_text(json.dumps(shown(figure), indent=1) + "\n", encoding="utf-8")
    for kind in ("png", "svg"):
        picture = _drawn(figure, kind)
        if picture is not None:
            paths.append(folder / f"{name}.{kind}")
            paths[-1].write_bytes(_with_steady_ids(picture, name) if kind == "svg" else picture)
    return paths


def _with_steady_ids(svg: bytes, name: str) -> bytes:
    """An SVG with ids made of its name and a count, in place of those that plotly draws by chance."""
    for count, drawn in enumerate(dict.fromkeys(re.findall(rb"\b(?:defs-|trace)([0-9a-f]{6})\b", svg))):
        svg = svg.replace(drawn, f"{name}-{count}".encode())
    return svg


def show(figure: go.Figure) -> Any:
    """A figure for a notebook: alive where plotly's viewer is, a picture elsewhere (a code host, an exported page)."""
    from IPython.display import display

    display(bundle(figure), raw=True)


def bundle(figure: go.Figure) -> dict[str, Any]:
    """A figure as notebooks hold it: for plotly's viewer, and as a picture where a browser is there to draw it."""
    picture = _drawn(figure, "png")
    return alive(figure) | ({"image/png": base64.b64encode(picture).decode()} if picture is not None else {})


def alive(figure: go.Figure) -> dict[str, Any]:
    """The same without the picture, which takes a second to draw."""
    return {"application/vnd.plotly.v1+json": json.loads(figure.to_json())}


def can_draw() -> bool:
    """Whether pictures can be written on this machine: whether a Chrome or Chromium answers."""
    return _drawn(go.Figure(), "png") is not None


def _drawn(figure: go.Figure, kind: str) -> bytes | None:
    """The figure as a picture; None where no browser is there to draw it."""
    import logging

    for name in ("kaleido", "choreographer"):  # what goes wrong for good comes as an exception; the rest is noise in a notebook
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return bytes(figure.to_image(format=kind, scale=2 if kind == "png" else 1))
    except (RuntimeError, ValueError, ImportError, OSError):
        return None
    except Exception as why:  # kaleido's "no Chrome" errors share no base class but Exception
        if "chrom" in f"{type(why).__name__} {why}".lower():
            return None
        raise
