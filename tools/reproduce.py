"""``make reproduce``: run every notebook of a profile, and compare the results with the paper's.

papermill runs the notebooks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from s1lab import figures as plots
from tools import ROOT
from tools import rehearse as dry
from tools.profiles import Profile, read_profile
from tools.report import comparison

CELL_LIMIT_S = 1800  # on a laptop; on GPUs a cell may take hours of paid work, and has no limit
# 02 trains on the rows that 01 wrote. 03, 06, 08 and 09 ask the same questions and write to one
# store, so only the first of them asks, and none of them may run at the same time as another.
AFTER = {
    "02_sft": {"01_data_curation"},
    "06_scaling": {"03_budget_forcing"},
    "08_benchmarks": {"03_budget_forcing", "06_scaling"},
    "09_statistics": {"03_budget_forcing", "06_scaling", "08_benchmarks"},
}


class Failed(Exception):
    """A notebook that did not run to its end: which one, why, and where its copy is."""


class _Running:
    """A notebook that runs in a process of its own.

    A Ctrl-C reaches it too, and a kernel that dies takes nothing else with it.
    """

    def __init__(self, target: Path, log: Path) -> None:
        self.target, self.log, self.began = target, log, time.time()

    def start(
        self, root: Path, notebook: str, parameters: dict[str, Any], threads: int, limit: int | None
    ) -> None:
        """Start papermill.

        Args:
            root: Folder of the repository.
            notebook: Name of the notebook.
            parameters: Its parameters.
            threads: Cores it may use, 0 for all.
            limit: Seconds that a cell may take.
        """
        # not on the command line, which everybody on the machine can read
        given = self.log.with_suffix(".parameters.yaml")
        given.write_text(yaml.safe_dump(parameters), encoding="utf-8")
        options = {"cwd": root / "notebooks", "kernel": "python3", "parameters_file": given}
        options |= {"execution-timeout": limit} if limit else {}
        command = [
            sys.executable,
            "-m",
            "papermill",
            str(root / "notebooks" / f"{notebook}.ipynb"),
            str(self.target),
        ]
        command += [
            "--no-progress-bar",
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]
        shared = {"OMP_NUM_THREADS": str(threads)} if threads else {}
        with self.log.open("wb") as said:
            self.process = subprocess.Popen(
                command, stdout=said, stderr=said, env={**shared, **os.environ}
            )

    def stop(self) -> None:
        """Let papermill shut its kernel down first, and kill it only after that."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def cells(self) -> int:
        """Count the cells that have run: papermill writes the copy again after each."""
        try:
            cells = json.loads(self.target.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError):  # read in the middle of a write
            return 0
        return sum(
            cell["metadata"].get("papermill", {}).get("status") == "completed"
            for cell in cells
            if cell["cell_type"] == "code"
        )

    def why(self) -> str:
        """Return its last message, or the exit code if there is none."""
        lines = [
            line
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip()
        ]
        return lines[-1].strip() if lines else f"exit code {self.process.returncode}"


def run_notebooks(
    profile: str | Profile, *, in_place: bool = False, jobs: int | None = None, root: Path = ROOT
) -> list[Path]:
    """Run the notebooks of a profile.

    Args:
        profile: The name of a profile or a Profile, as in `tools.profiles.read_profile`.
        in_place: Write the executed notebooks over the originals, and the solutions of their
            exercises too.
        jobs: Notebooks that run at the same time, each with its share of the cores. None is two if
            the profile has no GPU, else one, since two models may not fit on a GPU together. A
            notebook waits for the ones whose output it needs.
        root: Folder of the repository.

    Returns:
        The executed copies, under runs/NAME/ (or in place), in the profile's order.

    Raises:
        ValueError: Before any notebook runs, if the profile can't be read, a notebook does not know
            a parameter, or notebooks wait for one another.
        Failed: If a notebook ends in an error. Those that had begun by then run to their end.

    Example:
        copies = run_notebooks("tiny")
    """
    profile = read_profile(profile, root) if isinstance(profile, str) else profile
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs}: give at least 1, or leave it out")
    cores = os.cpu_count() or 1
    jobs = jobs or (1 if profile.machine.gpus else min(2, cores))
    needs = _needs(profile)
    folder = root / "runs" / profile.name
    folder.mkdir(parents=True, exist_ok=True)
    waiting = list(profile.notebooks)
    if in_place:
        solved = [f"solutions/{n}" for n in profile.notebooks]
        waiting += [n for n in solved if (root / "notebooks" / f"{n}.ipynb").exists()]
        (folder / "solutions").mkdir(exist_ok=True)  # their logs
    targets = {n: (root / "notebooks" if in_place else folder) / f"{n}.ipynb" for n in waiting}
    running, failed, done = dict[str, _Running](), list[str](), 0
    bar = tqdm(
        total=sum(_code_cells(root, n) for n in waiting),
        unit="cell",
        disable=not sys.stderr.isatty(),
    )
    try:
        while running or (waiting and not failed):
            ready = [n for n in waiting if not needs.get(n, set()) & {*waiting, *running}]
            for notebook in ready[: 0 if failed else jobs - len(running)]:
                waiting.remove(notebook)
                # In place nothing is injected: the committed notebooks run with their own
                # parameters.
                given = {} if in_place else profile.notebooks[notebook]
                job = _Running(targets[notebook], folder / f"{notebook}.log")
                job.start(
                    root,
                    notebook,
                    given,
                    cores // jobs if jobs > 1 else 0,
                    None if profile.machine.gpus else CELL_LIMIT_S,
                )
                running[notebook] = job
                print(f"{notebook} began", flush=True)
            time.sleep(0.5)
            bar.update(done + sum(job.cells() for job in running.values()) - bar.n)
            for notebook in [n for n, job in running.items() if job.process.poll() is not None]:
                job = running.pop(notebook)
                done += job.cells()
                where = job.target.relative_to(root)
                if job.process.returncode:
                    failed.append(
                        f"{notebook} failed: {job.why()}; its copy, up to the error, is {where}"
                    )
                elif in_place:
                    tidy(job.target)
                print(
                    f"{notebook} took {time.time() - job.began:.0f} s and wrote {where}", flush=True
                )
    finally:
        bar.close()
        for job in running.values():
            job.stop()
    if failed:
        raise Failed("; ".join(failed))
    return list(targets.values())


def rehearse(name: str, *, jobs: int | None = None, root: Path = ROOT) -> list[Path]:
    """Run a profile's notebooks on a model of random weights: the whole path in minutes.

    `tools.rehearse` makes that model. Everything is written under runs/dry-NAME/. A profile
    that asks a server gets a vLLM server that is started here.

    Args:
        name: Name of the profile.
        jobs: As in `run_notebooks`.
        root: Folder of the repository.

    Returns:
        The executed copies.

    Example:
        rehearse("s1-32b")
    """
    import papermill

    profile = read_profile(name, root)
    folder = root / "runs" / f"dry-{profile.name}"
    folder.mkdir(parents=True, exist_ok=True)
    known = {
        n: set(papermill.inspect_notebook(str(root / "notebooks" / f"{n}.ipynb")))
        for n in profile.notebooks
    }
    served = any(
        str(given.get("model", "")).startswith("http") for given in profile.notebooks.values()
    )
    with dry.server(folder) if served else nullcontext(None) as address:
        return run_notebooks(
            dry.rehearsal(profile, known, folder, address, can_use_gpus()), jobs=jobs, root=root
        )


def can_use_gpus() -> bool:
    """Return whether this machine has a GPU that torch can use."""
    import torch

    return bool(torch.cuda.is_available())


def _needs(profile: Profile) -> dict[str, set[str]]:
    """Return the notebooks that must have ended before each.

    These are the ones of `AFTER`, and those whose name is in a parameter's path.

    Raises:
        ValueError: If notebooks wait for one another.
    """
    needs = {}
    for notebook, given in profile.notebooks.items():
        text = json.dumps(given)
        needs[notebook] = (
            AFTER.get(notebook, set()) | {n for n in profile.notebooks if f"/{n}" in text}
        ) - {notebook}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as why:
        circle = ", ".join(why.args[1][1:])
        raise ValueError(
            f"the profile {profile.name}: {circle} wait for one another, since each has the "
            "other's name in a path: change one"
        ) from None
    return needs


def _code_cells(root: Path, notebook: str) -> int:
    cells = json.loads((root / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    return sum(cell["cell_type"] == "code" for cell in cells)


def tidy(path: Path) -> None:
    """Remove from an executed notebook what changes from run to run and means nothing.

    These are papermill's times and paths, and widgets. A widget lives in the kernel that made it.
    Without the kernel its view only says "loading". The HTML beside it stays.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.get("metadata", {}).get("tags") == []:
            del cell.metadata["tags"]
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.reproduce", description=__doc__)
    parser.add_argument(
        "profile", nargs="?", default="tiny", help="a name from notebooks/profiles, or a .yaml file"
    )
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="write outputs into notebooks/ itself, to commit them",
    )
    parser.add_argument(
        "--dry",
        action="store_true",
        help="rehearse on a model of random weights, under runs/dry-PROFILE",
    )
    parser.add_argument("--jobs", type=int, help="notebooks side by side; 2 without a GPU, else 1")
    options = parser.parse_args()
    # so that running notebooks are stopped too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.time()
    try:
        if options.dry:
            rehearse(options.profile, jobs=options.jobs)
            print(
                f"all of {options.profile} ran on random weights in {time.time() - began:.0f} s: "
                "its numbers mean nothing"
            )
            return
        profile = read_profile(options.profile)
        run_notebooks(profile, in_place=options.in_place, jobs=options.jobs)
    except (ValueError, OSError, RuntimeError, Failed) as why:
        sys.exit(f"s1lab: {why}")
    except KeyboardInterrupt:
        print(
            "s1lab: stopped; what notebooks had finished is under runs/, and stores go on where "
            "they were",
            file=sys.stderr,
        )
        sys.exit(130)
    if not plots.can_draw():
        print(
            "no Chrome or Chromium answers here, so figures/ got its data (JSON) but no new "
            "pictures: install one to draw them"
        )
    print(f"\n{comparison(profile.name)}\n\nall of it took {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
