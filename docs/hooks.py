"""What the book takes from outside of docs/.

These are notebooks and figures as they are committed, and plotly's script. Formulas become MathML,
and public names become links.
"""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
DIAGRAMS = sorted((ROOT / "notebooks" / "diagrams").glob("*.svg"))
PLOTLY = "assets/plotly.min.js"
FIGURES = ("application/vnd.s1lab.figure+json", "application/vnd.plotly.v1+json")
WIDGET = "application/vnd.jupyter.widget-view+json"
_WORK = tempfile.TemporaryDirectory(prefix="s1lab-book-")

# Pages link to notebooks and figures where they lie in the repository, for code hosts. The book
# holds them beside its pages.
_BESIDE = re.compile(r"\]\(\.\./((?:\.\./)*(?:notebooks|figures)/)")

# A link between notebooks, of which some are solutions in a folder of their own.
_NOTEBOOK = re.compile(r"\]\(((?:\.\./|solutions/)?\w+)\.ipynb")

# A formula of a notebook: on lines of its own, or in a line.
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\w\\$`])\$([^$\n`]+?)\$(?![\w$`])", re.DOTALL)

# A link from a page to the repository's code, which the book does not hold:
# "[s1lab/x.py](../s1lab/x.py)".
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./(?:s1lab|tools|tests|CONTRIBUTING|README)[^)]*\)")

# A public name in backticks, which becomes a link to its place in the API, but not inside a link, a
# heading or a block of code.
_NAME = re.compile(
    r"<(a|h\d|pre|summary)\b.*?</\1>|<code>(?P<name>(?:s1)?lab(?:\.\w+)+)</code>", re.DOTALL
)

# What the notebook pages would fetch from another host: MathJax and Mermaid. No notebook uses them.
_FETCHED = re.compile(
    r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->"
    r"|<script type=\"module\">.*?</script>",
    re.DOTALL,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name every notebook in the nav, and make each block "```math" a formula."""
    (listed,) = (entry["Notebooks"] for entry in config.nav or [] if "Notebooks" in entry)
    listed += [{path.stem: f"notebooks/{path.name}"} for path in NOTEBOOKS]
    if SOLUTIONS:
        listed.append(
            {"Solutions": [{path.stem: f"notebooks/solutions/{path.name}"} for path in SOLUTIONS]}
        )
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "math", "format": formula}]
    return config


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add notebooks, solutions, diagrams, figures and plotly's script, none of them in docs/."""
    folder = Path(_WORK.name)
    (folder / "notebooks" / "solutions").mkdir(parents=True, exist_ok=True)
    for path in (*NOTEBOOKS, *SOLUTIONS):
        name = path.relative_to(ROOT).as_posix()
        notebook = prepared(json.loads(path.read_text(encoding="utf-8")))
        (folder / name).write_text(json.dumps(notebook), encoding="utf-8")
        files.append(File(name, str(folder), config.site_dir, config.use_directory_urls))
    for path in DIAGRAMS:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted((ROOT / "figures").glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    files.append(File.generated(config, PLOTLY, abs_src_path=str(script)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the list of notebooks where a page asks for it, and turn links to where things are.

    A link to code, which the book does not hold, becomes a bare name.
    """
    if page.file.src_uri.endswith(".md"):
        markdown = _OUTSIDE.sub(r"`\1`", _BESIDE.sub(r"](\1", markdown))
    return (
        markdown.replace("<!-- notebooks -->", "\n".join(_listed()))
        if "<!-- notebooks -->" in markdown
        else markdown
    )


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link names to the API. A notebook fetches nothing, and its figures are drawn here."""
    if not page.file.src_uri.endswith(".ipynb"):
        return _NAME.sub(_reference, html)
    html = _FETCHED.sub("", html)
    page.present_anchor_ids = set(
        re.findall(r'\bid="([^"]+)"', html)
    )  # so that links to a section are checked
    if 'class="figure"' in html:
        top = "../" * page.file.src_uri.count("/")
        html += "".join(
            f'<script src="{top}{name}"></script>' for name in (PLOTLY, "assets/figures.js")
        )
    return html


def _reference(found: re.Match[str]) -> str:
    """A name as mkdocs-autorefs takes it; one that is on no page of the API stays as it is."""
    if not found["name"]:
        return found[0]
    path = "s1lab." + found["name"].partition(".")[2]
    return f'<autoref optional identifier="{path}">{found[0]}</autoref>'


def prepared(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook for its page: links to other pages, and figures as pictures with their data.

    A widget needs a kernel, and its page would fetch a script for it. So only the text or HTML
    beside the widget is kept.
    """
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            linked = _NOTEBOOK.sub(r"](\1.html", "".join(cell["source"]))
            cell["source"] = _FORMULA.sub(_mathml, linked)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
            if any(name in output.get("data", {}) for name in FIGURES):
                told = output.get("metadata", {}).get("image/png", {}).get("alt", "a figure")
                output["data"] = {"text/html": _figure(output["data"], told)}
    return notebook


def _mathml(found: re.Match[str]) -> str:
    """A formula as MathML, which browsers draw without a script."""
    if found[1]:
        return f'<div class="math">{convert(found[1].strip(), display="block")}</div>'
    return str(convert(found[2]))


def _figure(bundle: dict[str, Any], alt: str) -> str:
    """A picture with its text, and the data that docs/assets/figures.js draws in its place."""
    content = next(bundle[name] for name in FIGURES if name in bundle)
    data = json.dumps({name: content[name] for name in ("data", "layout")}).replace("</", r"<\/")
    picture = "".join(bundle.get("image/png", "")).replace("\n", "")
    told = html.escape(alt, quote=True)
    shown = f'<img alt="{told}" src="data:image/png;base64,{picture}">' if picture else ""
    return (
        f'<div class="figure" data-alt="{told}">{shown}'
        f'<script type="application/json">{data}</script></div>'
    )


def _listed() -> Iterator[str]:
    """A table of the notebooks: name, title, and what one learns in it."""
    yield "| notebook | what you learn |\n| --- | --- |"
    for path in NOTEBOOKS:
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        title = first.partition("\n")[0]
        learnt = re.findall(r"^- (.*(?:\n  .*)*)", first.partition("\n\n**Time")[0], re.MULTILINE)
        told = "; ".join(" ".join(item.split()).rstrip(".;") for item in learnt).replace("|", "\\|")
        told = re.sub(r"\]\((\w+\.ipynb)", r"](notebooks/\1", told)
        name = title.lstrip("# ") + ("" if title.endswith("?") else ".")
        yield f"| [{path.stem}](notebooks/{path.name}) | **{name}** {told} |"


def formula(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """A block of LaTeX as MathML."""
    return f'<div class="{html.escape(css_class)}">{convert(source, display="block")}</div>'
