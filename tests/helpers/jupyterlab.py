"""A JupyterLab on a free port, and a browser that opens notebooks in it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.helpers import ROOT

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
TOKEN = "a-token-of-this-test"

# What JupyterLab itself may write to the console, none of it about an output of ours. Version 4.6
# writes nothing as a rule.
OWN_NOISE = (
    # settings and workspaces that a fresh server has not
    r"Failed to load resource.*http://127\.0\.0\.1:\d+/(lab/)?api/",
    # a kernel's connection while it starts, made again at once
    r"WebSocket connection to '.*/api/.*' failed",
)
SKIPPED = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome is on the path"
)
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells stay in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

# What the kernel is called and says of itself. JupyterLab writes both into a notebook that has
# something else, which is then changed by being opened.
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": platform.python_version(),
}


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that works a page in a browser, beside other tests and on few cores.

    A page draws things anew at any time, so such a test may look at the wrong moment. It fails only
    if it fails three times.
    """
    return pytest.mark.flaky(reruns=2)(SKIPPED(test))


def until(said: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Wait until the page says so. What can't be read just now is read again.

    Raises:
        AssertionError: It never did.
    """
    deadline, why = time.monotonic() + seconds, "it is not so"
    while True:
        try:
            if said():
                return
        except Exception as error:  # the element is drawn anew, or is not there yet
            why = str(error)
        assert time.monotonic() < deadline, f"{what}: {why}"
        time.sleep(0.05)


def notebook_of(*cells: Any) -> nbformat.NotebookNode:
    """Make a notebook of cells. A text becomes a code cell."""
    made = [nbformat.v4.new_code_cell(c.strip()) if isinstance(c, str) else c for c in cells]
    return nbformat.v4.new_notebook(
        cells=made, metadata={"kernelspec": KERNEL, "language_info": LANGUAGE}
    )


@contextmanager
def served(folder: Path, notebooks: Mapping[str, nbformat.NotebookNode]) -> Iterator[str]:
    """Run JupyterLab on notebooks, by their names. Everything it writes stays in the folder.

    Yields:
        The server's address.
    """
    (folder / "work").mkdir()
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / "work" / name)
    for name, content in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(folder / at) for name, at in folders.items()}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder / 'work'}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()  # it ends its kernels too
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def open_notebook(page: Any, server: str, name: str, cells: int) -> None:
    """Open a notebook in a page, and wait until its cells and its kernel are there."""
    page.goto(f"{server}/lab/tree/{name}?token={TOKEN}")
    page.wait_for_function("window.jupyterapp !== undefined")
    page.locator(".jp-CodeCell").nth(cells - 1).wait_for()
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )


def set_theme(page: Any, theme: str) -> None:
    """Change to the theme "Light" or "Dark"."""
    page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', "
        f"{{theme: 'JupyterLab {theme}'}})"
    )
    page.wait_for_function(f"document.body.dataset.jpThemeName === 'JupyterLab {theme}'")
