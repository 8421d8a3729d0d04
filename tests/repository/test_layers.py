"""The house keeps its shape: a core that knows no room, rooms in layers, files of a size that is
read at once.
"""

from __future__ import annotations

import graphlib
import pkgutil
import sys
from pathlib import Path

import grimp
import pytest

import s1lab as lab
from tools.count_lines import code_lines, counted

LIBRARY = Path(lab.__file__).parent
GRAPH = grimp.build_graph("s1lab", exclude_type_checking_imports=True, cache_dir=None)
IMPORTS = {
    module: sorted(GRAPH.find_modules_directly_imported_by(module))
    for module in sorted(GRAPH.modules)
}
ROOT = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__", "__main__"}

# What a core module reaches in a room, always inside a function.
REACHED = {
    ("api", "evaluation.calls"),
    ("loader", "engines.address"),
    ("loader", "engines.model_names"),
    ("loader", "engines.server"),
    ("loader", "engines.transformers"),
    ("loader", "engines.vllm"),
    ("questions", "methods.original_loops"),
    ("questions", "storage.replay"),
    ("trace", "figures.trace_view"),
}
# In the order in which the docs tell a newcomer to read them.
CORE = ("budget", "template", "trace", "forcing", "engine", "driver", "loader", "questions", "api")
# From below to above. A room imports its own layer and those below it.
LAYERS = (
    ("core", "files"),
    ("tokenization", "engines"),
    ("statistics and grading", "the paper's numbers"),
    ("methods",),
    ("storage", "evaluation", "paper", "curate", "tiny", "smol", "interop"),
    ("figures", "sft"),
    ("widgets",),
    ("cli",),
)
# Modules of evaluation that know neither engines nor runs: methods vote and are compared by them.
LOWER = (
    "evaluation.arguments",
    "evaluation.calls",
    "evaluation.grade",
    "evaluation.gym",
    "evaluation.intervals",
    "evaluation.metrics",
    "evaluation.paired",
)
PAPER = ("paper", "paper.entries", "paper.numbers")
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# python -m s1lab.sft is the command line's `s1lab sft`.
# A sweep draws its own curve, when it is asked to. A notebook's record is saved with its figures.
UPWARDS = {
    ("sft.__main__", "cli.sft"),
    ("evaluation.sweep", "figures"),
    ("interop.notebooks", "figures.export"),
}


def room_of(module: str) -> str:
    """The room of a module, as LAYERS names it; the package's front belongs to none."""
    name = module.removeprefix("s1lab").removeprefix(".")
    if not name or name.startswith("__"):
        return "front"
    if any(name == lower or name.startswith(f"{lower}.") for lower in LOWER):
        return "statistics and grading"
    if name == "storage.files":  # it imports nothing of s1lab; engines write their cache by it
        return "files"
    if name in PAPER:
        return "the paper's numbers"
    return "core" if name in ROOT else name.partition(".")[0]


def edges() -> list[tuple[str, str]]:
    """Which module imports which, without the package's name before them."""
    return [
        (module.removeprefix("s1lab."), other.removeprefix("s1lab."))
        for module, others in IMPORTS.items()
        for other in others
        if module != "s1lab"
    ]


def test_no_modules_import_each_other_in_a_circle():
    graphlib.TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


def test_the_core_reaches_a_room_in_few_modules_only_and_inside_functions():
    reached = {(a, b) for a, b in edges() if a in ROOT and b not in ROOT}
    assert reached == REACHED
    for module, room in REACHED:
        lines = (LIBRARY / f"{module}.py").read_text(encoding="utf-8").splitlines()
        found = GRAPH.get_import_details(importer=f"s1lab.{module}", imported=f"s1lab.{room}")
        assert found and all(lines[one["line_number"] - 1].startswith("    ") for one in found), (
            module,
            room,
        )


def test_a_room_imports_only_its_own_layer_and_those_below():
    assert {room_of(module) for module in IMPORTS} - {"front"} == set(LEVEL)
    upwards = set()
    for a, b in edges():
        above, below = room_of(f"s1lab.{a}"), room_of(f"s1lab.{b}")
        if (
            b == "s1lab" or "front" in (above, below) or above == "core"
        ):  # these have tests of their own
            continue
        if LEVEL[below] > LEVEL[above]:
            upwards.add((a, b))
    assert upwards == UPWARDS


def test_the_front_is_imported_by_the_command_line_alone():
    assert {room_of(f"s1lab.{a}") for a, b in edges() if b == "s1lab"} <= {"cli", "front"}


def test_the_root_is_small_enough_to_be_seen_at_once():
    assert len(ROOT) <= 9 and set(CORE) == ROOT
    assert counted()["core"] <= 1_100


def test_no_public_name_hides_a_module():
    modules = {module.name for module in pkgutil.iter_modules(lab.__path__)}
    named = {name: getattr(lab, name) for name in modules & set(dir(lab))}
    assert [name for name, it in named.items() if it is not sys.modules[f"s1lab.{name}"]] == []


def test_the_top_of_the_package_has_few_names_and_tab_offers_no_others():
    assert len(lab.__all__) == len(set(lab.__all__)) <= 36
    assert all(hasattr(lab, name) for name in lab.__all__)
    assert {name for name in dir(lab) if not name.startswith("__")} == set(lab.__all__)


@pytest.mark.parametrize(
    "path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY))
)
def test_no_file_has_more_than_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings():
    source = (
        '"""A module.\n\nOf two lines."""\n\nx = 1  # one\n"""What x is."""\n\n# none\n'
        'def f():\n    """None."""\n    return """two\nlines"""\n'
    )
    assert code_lines(source) == 4
    rooms = counted()
    assert rooms["core"] == sum(
        code_lines((LIBRARY / f"{module}.py").read_text(encoding="utf-8")) for module in ROOT
    )
    assert set(rooms) - {"core", "front"} == {
        path.parent.name for path in LIBRARY.glob("*/__init__.py")
    }
