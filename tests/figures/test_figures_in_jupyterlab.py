"""Every kind of figure in a real JupyterLab, in a headless Chromium, light and dark.

A figure fits its output, stays where it is when the pointer is on it, and leaves the notebook as
it was.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from s1lab.figures import can_draw
from s1lab.figures.export import bundle, described
from tests.helpers.figures import kinds
from tests.helpers.jupyterlab import (
    BROWSER,
    needs_browser,
    notebook_of,
    open_notebook,
    served,
    set_theme,
)

pytestmark = pytest.mark.long

DIRTY = "window.jupyterapp.shell.currentWidget.context.model.dirty"
# How far an output reaches, whether it is cut off, and whether there is a picture in it.
MEASURED = """output => ({
    cut: output.scrollWidth > output.clientWidth
        || output.closest('.jp-OutputArea').scrollWidth > output.closest('.jp-OutputArea').clientWidth,
    height: output.getBoundingClientRect().height,
    top: output.getBoundingClientRect().top,
    picture: output.querySelector('img')?.naturalWidth ?? 0,
    drawn: output.querySelectorAll('.plot-container').length,
})"""  # noqa: E501


@needs_browser
@pytest.mark.timeout(300)
def test_every_figure_fits_stays_where_it_is_and_leaves_the_notebook_as_it_was(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not can_draw():
        pytest.skip("no picture can be drawn here")
    figures = kinds()
    cells = [
        nbformat.v4.new_code_cell(
            name,
            execution_count=at,
            outputs=[
                nbformat.v4.new_output(
                    "display_data", data=bundle(figure), metadata=described(f"{name}, drawn")
                )
            ],
        )
        for at, (name, figure) in enumerate(figures.items(), 1)
    ]
    notebook = notebook_of(nbformat.v4.new_markdown_cell("# Figures"), *cells)
    with (
        served(tmp_path, {"figures.ipynb": notebook}) as server,
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 900})
            page.set_default_timeout(60_000)
            open_notebook(page, server, "figures.ipynb", len(cells))
            outputs = page.locator(".jp-OutputArea-output")
            assert outputs.count() == len(cells)
            for theme in ("Light", "Dark"):
                set_theme(page, theme)
                for at, name in enumerate(figures):
                    output = outputs.nth(at)
                    output.scroll_into_view_if_needed()
                    before = output.evaluate(MEASURED)
                    assert before["picture"] == 1800 and not before["cut"], (theme, name, before)
                    output.hover(position={"x": 300, "y": 100})
                    page.wait_for_timeout(150)
                    assert output.evaluate(MEASURED) == before, (theme, name)
                page.screenshot(path=tmp_path / f"{theme}.png")
                assert not page.evaluate(DIRTY), theme
            page.set_viewport_size({"width": 700, "height": 900})
            page.wait_for_timeout(500)
            for at, name in enumerate(figures):
                assert not outputs.nth(at).evaluate(MEASURED)["cut"], name
            assert not page.evaluate(DIRTY)
        finally:
            browser.close()
