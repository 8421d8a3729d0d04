"""The book: its sources name what there is, and the site that `make book` builds has no dead link
and asks no other host.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width
from urllib.parse import unquote, urlsplit

import plotly
import pytest

import s1lab as lab
from tests.helpers import ROOT

SOURCES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
PROSE = [*SOURCES, *(ROOT / f"{name}.md" for name in ("README.zh-CN", "CONTRIBUTING", "CHANGELOG"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FIGURES = ("application/vnd.s1lab.figure+json", "application/vnd.plotly.v1+json")
sources = pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def code(text: str) -> list[str]:
    """What a page shows as code: its blocks, and what stands between backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return blocks + re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )


def resolve(dotted: str) -> Any:
    """An object by its name below ``lab``; AttributeError where there is none."""
    found: Any = lab
    for name in dotted.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            if name not in getattr(
                found, "__dataclass_fields__", {}
            ):  # a field without a default is on instances only
                raise
            return None
    return found


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each call of something below ``lab`` in a piece of Python: its name and its keywords."""
    try:
        tree = ast.parse(text.strip().replace("…", "..."))
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(
            r"lab(\.\w+)+", name := ast.unparse(node.func)
        ):
            yield name.removeprefix("lab."), [k.arg for k in node.keywords if k.arg]


@sources
def test_every_name_on_a_page_is_there_and_takes_the_arguments_it_is_shown_with(path):
    text = path.read_text(encoding="utf-8")
    public = "|".join(sorted(name for name in lab.__all__ if name[0].isupper()))
    for piece in code(text):
        for dotted in re.findall(r"(?<![\w./-])lab((?:\.[A-Za-z_]\w*)+)", piece):
            resolve(dotted[1:])
        for dotted in re.findall(rf"(?<![\w.])((?:{public})\.[a-z_]\w*)", piece):
            resolve(dotted)
        for name in re.findall(r"\b(?:TABLE|FIGURE)_\w+", piece):
            assert hasattr(lab.paper, name), name
        for name, keywords in calls(piece):
            parameters = inspect.signature(resolve(name)).parameters
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                assert set(keywords) <= set(parameters), f"{name}({keywords})"


@sources
def test_every_target_notebook_file_and_module_on_a_page_is_there(path):
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for piece in code(text):
        assert set(re.findall(r"(?:^|\n)make ([a-z-]+)", piece)) <= targets, piece
        for profile in re.findall(r"PROFILE=([\w.-]*\w)", piece):
            assert (
                ROOT / "notebooks" / "profiles" / f"{profile}.yaml"
            ).exists() or profile == "NAME", profile
        for module in re.findall(r"python -m ((?:s1lab|tools)[\w.]*)", piece):
            assert find_spec(module), module
        for file in re.findall(
            r"(?<![\w/.])(?:s1lab|tools|tests|notebooks|docs)/[\w./-]*\w", piece
        ):
            assert (ROOT / file).exists() or "NAME" in file, file
    for name in re.findall(r"\b\d\d_[a-z]\w+", text):
        assert (ROOT / "notebooks" / f"{name}.ipynb").exists(), name


@sources
def test_links_of_a_page_lead_somewhere_on_a_code_host_too(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    files = [urlsplit(link).path for link in links if not urlsplit(link).scheme]
    assert not [file for file in files if not (path.parent / file).exists()]


def test_a_name_that_is_not_there_would_be_seen():
    assert resolve("metrics.score") is lab.metrics.score
    assert resolve("Results.accuracy") is None
    with pytest.raises(AttributeError):
        resolve("metrics.scores")
    assert list(calls("lab.Budget(max_token=3)")) == [("Budget", ["max_token"])]


def test_python_on_the_pages_is_python():
    for path in SOURCES:
        for block in re.findall(
            r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            ast.parse(block)


def prose(text: str) -> Iterator[str]:
    """The lines of a page that are neither code, tables, headings nor the API's directives."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not re.match(r"\s*(?:[|#]|:::|options:|members:)", line):
            yield line


def columns(line: str) -> int:
    """The width of a line, without the targets of its links. A Chinese character is two wide."""
    shown = re.sub(r"\]\([^)]*\)", "]", line)
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in shown)


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_prose_has_lines_of_at_most_100_columns(path):
    text = path.read_text(encoding="utf-8")
    assert [line for line in prose(text) if columns(line) > 100] == []


def test_a_long_line_of_prose_would_be_seen():
    page = f"# {'a' * 120}\n\n```text\n{'b' * 120}\n```\n\n{'c ' * 60}\n- [d]({'e' * 120})\n"
    assert [line for line in prose(page) if columns(line) > 100] == ["c " * 60]
    assert columns("预算") == 4


def test_every_public_name_has_its_place_in_the_api():
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md")
    )
    entries = re.findall(r"^::: ([\w.]+)\n((?: +.*\n)*)", text, re.MULTILINE)
    lists = {name: re.search(r"members:\s*\[([^\]]*)\]", options) for name, options in entries}
    shown = set(lists) | {
        f"{name}.{member}"
        for name, found in lists.items()
        if found
        for member in re.split(r",\s*", found[1])
    }
    headings = {
        found[1]
        for _, options in entries
        if (found := re.search(r"heading: (s1lab[\w.]*)", options))
    }
    modules = {name for name in lab.__all__ if inspect.ismodule(getattr(lab, name))}
    for name in set(lab.__all__) - modules:
        assert f"s1lab.{name}" in shown | headings, name
    for module in modules:  # under the name that it has in lab, or what is in its folder
        home = getattr(lab, module).__name__
        assert f"s1lab.{module}" in headings or any(
            f"{name}.".startswith(f"{home}.") for name in shown
        ), module
    for module in ("curate", "sft", "tiny"):
        listed = {
            name for name in resolve(module).__all__ if callable(getattr(resolve(module), name))
        }
        missing = {
            n for n in listed if not {f"s1lab.{module}.{n}", f"s1lab.{module}.{n}.{n}"} & shown
        }
        assert not missing, (module, missing)


@dataclass
class Page(HTMLParser):
    """What a page of the site links to, fetches, and can be linked to at."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    inline: list[str] = field(default_factory=list)
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.classes |= set(given.get("class", "").split())
        self.inside = tag
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link":
            self.fetched.append(given.get("href", ""))
        self.fetched += [
            given[name] for name in ("src", "srcset", "data", "poster") if name in given
        ]
        self.inline.append(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self.inside in ("style", "script"):
            self.inline.append(data)

    @classmethod
    def read(cls, path: Path) -> Page:
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, as `make book` builds it."""
    (command,) = re.findall(r"-m (mkdocs build .*)", MAKEFILE)
    folder = tmp_path_factory.mktemp("book") / "site"
    built = subprocess.run(
        [sys.executable, "-m", *command.split(), "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page.read(path) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.mark.long
def test_no_link_is_dead(pages, site):
    dead = []
    for path, page in pages.items():
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (
                parts.fragment and target in pages and parts.fragment not in pages[target].anchors
            ):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead, dead
    assert sum(len(page.links) for page in pages.values()) > 1_000


@pytest.mark.long
def test_nothing_is_fetched_from_another_host(pages, site):
    elsewhere = re.compile(
        r"url\(\s*['\"]?(?:https?:)?//|@import|\bimport\b[^;\n]{0,200}?['\"]https?://|\bfetch\(['\"]https?://"
    )
    for path, page in pages.items():
        assert not [link for link in page.fetched if urlsplit(link).netloc], path
        assert not [text for text in page.inline if elsewhere.search(text)], path
        assert "mermaid" not in page.classes, path  # the theme would fetch its script for one
    for sheet in site.rglob("*.css"):
        assert not elsewhere.search(sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.long
def test_every_notebook_is_there_as_it_is_committed_with_figures_that_are_alive(pages, site):
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    assert [path.read_bytes() for path in site.rglob("plotly*.js")] == [
        script.read_bytes()
    ]  # once, and the installed one
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        shown = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        figures = [
            next(o["data"][name] for name in FIGURES if name in o["data"])
            for c in cells
            for o in c.get("outputs", [])
            if set(FIGURES) & set(o.get("data", {}))
        ]
        kept = re.findall(
            r'<div class="figure" data-alt="[^"]+">.*?'
            r'<script type="application/json">(.*?)</script>',
            shown,
            re.DOTALL,
        )
        assert [json.loads(figure)["data"] for figure in kept] == [
            figure["data"] for figure in figures
        ]
        counts = [c["execution_count"] for c in cells if c["cell_type"] == "code"]
        assert [int(n) for n in re.findall(r"In\s\[(\d+)\]", shown)] == counts
        assert f'href="notebooks/{notebook.stem}.html"' in (site / "index.html").read_text(
            encoding="utf-8"
        )  # in the nav


@pytest.mark.long
def test_solutions_and_diagrams_are_there_beside_the_notebooks(site):
    folder = ROOT / "notebooks"
    for path in [*(folder / "solutions").glob("*.ipynb"), *(folder / "diagrams").glob("*.svg")]:
        there = path.relative_to(ROOT).with_suffix(
            ".html" if path.suffix == ".ipynb" else path.suffix
        )
        assert (site / there).is_file(), there
        if path.suffix == ".ipynb":
            assert f'href="{there.as_posix()}"' in (site / "index.html").read_text(
                encoding="utf-8"
            )  # in the nav


@pytest.mark.long
def test_the_api_shows_descriptions_as_a_list_names_as_links_and_examples_as_code(site):
    shown = (site / "api" / "ask.html").read_text(encoding="utf-8")
    assert re.search(r"<li[^>]*>\s*<b><code><span title=\"s1lab.Budget.max_tokens\">", shown)
    assert 'href="runs.html#s1lab.runs"' in shown
    assert re.search(r"Example:</span></p>\s*<div class=\"highlight\">", shown)
    for path in (site / "api").glob("*.html"):
        prose = re.sub(
            r"<details.*?</details>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )  # which holds the source
        assert not re.search(r":(?:func|class|mod|meth|data):", prose), path


def book_hooks():
    spec = spec_from_file_location("book_hooks", ROOT / "docs" / "hooks.py")
    hooks = module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks


def test_a_widget_becomes_what_stands_beside_it_and_a_link_goes_to_the_page():
    hooks = book_hooks()
    shown = {
        "output_type": "display_data",
        "metadata": {},
        "data": {hooks.WIDGET: {"model_id": "1"}, "text/plain": "a slider"},
    }
    cells = [
        {"cell_type": "code", "outputs": [shown]},
        {"cell_type": "markdown", "source": ["[next](06_scaling.ipynb#next)"]},
        {"cell_type": "markdown", "source": ["[s](solutions/06.ipynb) [b](../06.ipynb)"]},
    ]
    ready = hooks.prepared({"metadata": {"widgets": {}}, "cells": cells})
    assert (
        ready["cells"][0]["outputs"][0]["data"] == {"text/plain": "a slider"}
        and not ready["metadata"]
    )
    assert ready["cells"][1]["source"] == "[next](06_scaling.html#next)"
    assert ready["cells"][2]["source"] == "[s](solutions/06.html) [b](../06.html)"


def test_a_formula_of_a_notebook_becomes_mathml_and_a_price_stays():
    source = "With $p = k/n$:\n\n$$\\frac{1}{n}$$\n\n`$x$`, from $5 to $6."
    cells = [{"cell_type": "markdown", "source": source}]
    (ready,) = book_hooks().prepared({"metadata": {}, "cells": cells})["cells"]
    assert ready["source"].count("<math") == 2 and "<mfrac>" in ready["source"]
    assert "`$x$`, from $5 to $6." in ready["source"]


def test_a_figure_in_the_book_keeps_its_text_for_those_who_cant_see_it():
    figure = {"data": [], "layout": {"height": 300}}
    output = {
        "output_type": "display_data",
        "data": {FIGURES[0]: figure, "image/png": "AAAA"},
        "metadata": {"image/png": {"alt": 'from "59,029" to 1000'}},
    }
    cells = [{"cell_type": "code", "outputs": [output]}]
    ready = book_hooks().prepared({"metadata": {}, "cells": cells})
    shown = ready["cells"][0]["outputs"][0]["data"]["text/html"]
    for name in ("alt", "data-alt"):
        assert f'{name}="from &quot;59,029&quot; to 1000"' in shown


def target(name: str) -> list[str]:
    """The command of a make target, with this interpreter."""
    (line,) = re.findall(rf"^{name}:.*\n\t@\$\(RUN\) (.*)$", MAKEFILE, re.MULTILINE)
    return [sys.executable, *line.split()]


@pytest.mark.long
def test_papermill_finds_the_kernel_that_make_kernel_registers(tmp_path):
    import nbformat

    env = os.environ | {
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    subprocess.run(target("kernel"), env=env, check=True, capture_output=True)
    spec = json.loads((tmp_path / "jupyter" / "kernels" / "s1lab" / "kernel.json").read_text())
    assert spec["argv"][0] == sys.executable and spec["display_name"] == "s1lab"
    asks = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import sys\nprint(sys.executable)")]
    )
    nbformat.write(asks, tmp_path / "in.ipynb")
    ran = subprocess.run(
        [sys.executable, "-m", "papermill", "-k", "s1lab", "in.ipynb", "out.ipynb",
         "--no-progress-bar"],
        env=env, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    done = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert done.cells[-1].outputs[0].text == f"{sys.executable}\n"


def test_make_lab_opens_the_first_notebook():
    *_, folder, notebook = target("lab")
    assert (
        folder == "--ServerApp.root_dir=."
        and (ROOT / notebook).resolve() == sorted((ROOT / "notebooks").glob("*.ipynb"))[0]
    )


@pytest.mark.long
def test_the_page_on_ladders_runs_from_top_to_bottom(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"lab": lab, "engine": tiny}
    for block in re.findall(
        r"```python\n(.*?)```",
        (ROOT / "docs" / "ladders.md").read_text(encoding="utf-8"),
        re.DOTALL,
    ):
        exec(block, names)
    assert re.search(r"^control 100\.0 .*, 6 runs$", capsys.readouterr().out, re.MULTILINE)
