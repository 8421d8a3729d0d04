"""Profiles: files of papermill parameters for the notebooks, and the machines they are meant for.

A profile is read as data only. It has plain values, no references within the file, no repeated key
and no secret. Each parameter must be one that its notebook knows, and of the same kind as the
notebook's own. papermill itself only warns of an unknown one. ``python -m tools.profiles PROFILE
NOTEBOOK`` checks a profile, and prints the input of ``papermill -f``.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from s1lab.interop.notebooks import alike
from tools import ROOT

LARGEST = 20_000  # bytes; a profile is a page
# both read plain data only; only the one in C can handle deep nesting
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECRET = re.compile(r"(?i)(api_?key|token|secret|password)$")
# Headers by their names in HTTP, and mappings of them under any option's name. Any header may hold
# a key.
HEADERS = re.compile(r"(?i)(^|[_-])headers?$|^(proxy-)?authorization$|^(set-)?cookie$|^x-[\w-]+$")
# The last three are vLLM's names for Python code that it imports.
CODE = re.compile(r"(?i)^(trust_?remote_?code|code_revision|logits_processors)$|_cls$|_plugin$")
PLAIN = (str, bool, int, float, type(None))


@dataclass(frozen=True)
class Machine:
    """The machine of a profile, for `tools.plan.plan`.

    The parameters beside it tell the notebooks what to do. The two speeds are assumptions until you
    put your own measurement there.

    Attributes:
        gpus: Number of GPUs over all nodes; 0 is a laptop.
        gpu: Name of the GPUs.
        memory_gb: Memory of each GPU, in GB.
        price: US dollars for one GPU-hour.
        tokens_per_second: Tokens written by all GPUs together when the batch is full.
        rows_per_second: Rows of fine-tuning per second, on a machine without GPU.
    """

    gpus: int = 0
    gpu: str = ""
    memory_gb: float = 80.0
    price: float = 0.0
    tokens_per_second: float | None = None
    rows_per_second: float | None = None

    def __post_init__(self) -> None:
        for name in ("gpus", "memory_gb", "price", "tokens_per_second", "rows_per_second"):
            value = getattr(self, name)
            if value is None and name.endswith("_per_second"):
                continue
            if (
                isinstance(value, bool)
                or not isinstance(value, int if name == "gpus" else (int, float))
                or not 0 <= value < 1e12
            ):
                raise ValueError(f"machine: {name} is {value!r}: give a number of at least 0")
        if not isinstance(self.gpu, str):
            raise ValueError(f"machine: gpu is {self.gpu!r}: give its name")


@dataclass(frozen=True)
class Profile:
    """A profile.

    Attributes:
        name: Its name.
        notebooks: For each notebook, by its file name without ending and in the order to run them,
            the parameters it gets.
        machine: The machine it is meant for.
    """

    name: str
    notebooks: dict[str, dict[str, Any]]
    machine: Machine = field(default_factory=Machine)


def profiles(root: Path = ROOT) -> dict[str, Path]:
    """Return the paths of the existing profiles, by name."""
    return {p.stem: p for p in sorted((root / "notebooks" / "profiles").glob("*.yaml"))}


def read_profile(name: str, root: Path = ROOT) -> Profile:
    """Read a profile.

    Args:
        name: A profile's name, or the path of a file that ends in ``.yaml``.
        root: Folder of the repository.

    Returns:
        The profile.

    Raises:
        ValueError: If the name is unknown, the file is not a mapping from notebooks to plain
            parameters, or a notebook or a parameter does not exist.

    Example:
        profile = read_profile("s1-32b")
    """
    known = profiles(root)
    path = Path(name) if name.endswith(".yaml") else known.get(name)
    if path is None or not path.is_file():
        made = (
            f"write notebooks/profiles/{name}.yaml" if path is None else f"there is no file {name}"
        )
        raise ValueError(f"no profile is called {name!r}: choose from {list(known)} or {made}")
    content = _content(path)
    machine = content.pop("machine", {})
    if not isinstance(machine, dict) or (odd := set(machine) - {f.name for f in fields(Machine)}):
        what = (
            f"has unknown fields {sorted(map(str, odd))}"
            if isinstance(machine, dict)
            else "is no mapping"
        )
        raise ValueError(
            f"the profile {path.name}: machine {what}; known are "
            f"{[f.name for f in fields(Machine)]}"
        )
    if not content or not all(isinstance(parameters, dict) for parameters in content.values()):
        raise ValueError(
            f"the profile {path.name} is no mapping from notebooks to their parameters: see "
            "tiny.yaml"
        )
    for notebook, parameters in content.items():
        _check(path.name, notebook, parameters, root)
    try:
        return Profile(path.stem, content, Machine(**machine))
    except ValueError as why:
        raise ValueError(f"the profile {path.name}: {why}") from None


def _content(path: Path) -> dict[Any, Any]:
    """Read the file as a mapping of plain values.

    References (``&``, ``*``) are refused: a few of them can grow without bound.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(
                f"the profile {path.name} is larger than {LARGEST:,} bytes: a profile is a page of "
                "parameters"
            )
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, LOADER)):
            raise ValueError(
                f"the profile {path.name} has references (*name): write each value out"
            )
        _refuse_repeats(yaml.compose(text, LOADER), path.name)
        content = yaml.load(text, LOADER)
    except RecursionError:
        raise ValueError(
            f"the profile {path.name} is nested too deeply: parameters are numbers, texts and "
            "short lists"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as why:
        raise ValueError(
            f"the profile {path.name} is no YAML: {' '.join(str(why).split())[:200]}"
        ) from None
    # our own error, or one about a number or date that YAML knows and Python does not
    except ValueError as why:
        raise (
            why if "the profile" in str(why) else ValueError(f"the profile {path.name}: {why}")
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"the profile {path.name} is no mapping from notebooks to their parameters: see "
            "tiny.yaml"
        )
    return content


def _refuse_repeats(node: Any, file: str) -> None:
    """Refuse repeated keys: YAML would take the last of two, and silently lose the first."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the profile {file} has {repeated[0]!r} twice: keep one of them")
        for _, value in node.value:
            _refuse_repeats(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeats(value, file)


def _check(file: str, notebook: Any, parameters: dict[Any, Any], root: Path) -> None:
    import papermill

    if not isinstance(notebook, str) or not re.fullmatch(r"\w+", notebook):
        raise ValueError(f"the profile {file} names {notebook!r}, which is no notebook's name")
    path = root / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        raise ValueError(
            f"the profile {file} names a notebook that is not there, notebooks/{notebook}.ipynb: "
            f"choose from {', '.join(sorted(p.stem for p in path.parent.glob('*.ipynb')))}"
        )
    known = papermill.inspect_notebook(str(path))
    if unknown := [p for p in parameters if p not in known]:
        raise ValueError(
            f"the profile {file} gives {notebook} parameters that it does not know: {unknown}; "
            f"known are {list(known)}"
        )
    for name, value in parameters.items():
        if not _plain(value):
            raise ValueError(
                f"the profile {file}: {name} of {notebook} is {value!r:.60}: give a number, a "
                "text, a list or a mapping"
            )
        if hidden := _secrets({name: value}):
            raise ValueError(
                f"the profile {file}: {hidden} of {notebook} would be written into every notebook "
                "that runs: put a server's key into the environment variable S1LAB_API_KEY"
            )
        if found := _named({name: value}, HEADERS):
            raise ValueError(
                f"the profile {file}: {found} of {notebook} is a header, which would be written "
                "into every notebook that runs: leave it out, and put a server's key into the "
                "environment variable S1LAB_API_KEY"
            )
        if found := _named({name: value}, CODE):
            raise ValueError(
                f"the profile {file}: {found} of {notebook} would let code run because a file says "
                "so: leave it out, and pass it to lab.load in a notebook of your own"
            )
        own = ast.literal_eval(known[name]["default"])
        if not alike(own, value):
            raise ValueError(
                f"the profile {file}: {name} of {notebook} is {value!r:.60}: give something of the "
                f"kind of {own!r}"
            )


def _plain(value: Any, depth: int = 4) -> bool:
    if isinstance(value, (list, dict)):
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_plain(v, depth - 1) for v in inside)
    return isinstance(value, PLAIN)


def _secrets(value: Any, name: str = "") -> str | None:
    """Return the name of a key, or of an address with a password in it; None if there is none."""
    if isinstance(value, dict):
        inside = (
            str(k) if SECRET.search(str(k)) else _secrets(v, str(k)) for k, v in value.items()
        )
        return next((found for found in inside if found), None)
    if isinstance(value, list):
        return next((found for v in value if (found := _secrets(v, name))), None)
    return name if isinstance(value, str) and re.match(r"https?://[^/]*@", value) else None


def _named(value: Any, names: re.Pattern[str]) -> str | None:
    """Return the first key with such a name, at any depth; None if there is none."""
    if isinstance(value, dict):
        inside = (str(k) if names.search(str(k)) else _named(v, names) for k, v in value.items())
    elif isinstance(value, list):
        inside = (_named(v, names) for v in value)
    else:
        return None
    return next((found for found in inside if found), None)


def main() -> None:
    """Check a profile's parameters of one notebook, and print them for ``papermill -f``."""
    if len(sys.argv) != 3:
        sys.exit(
            "s1lab: give a profile and a notebook: python -m tools.profiles s1-32b 06_scaling > "
            "runs/05.yaml"
        )
    try:
        found = read_profile(sys.argv[1]).notebooks
        if sys.argv[2] not in found:
            raise ValueError(
                f"the profile {sys.argv[1]} has no notebook {sys.argv[2]!r}: choose from "
                f"{list(found)}"
            )
    except ValueError as why:
        sys.exit(f"s1lab: {why}")
    sys.stdout.write(yaml.safe_dump(found[sys.argv[2]], sort_keys=False))


if __name__ == "__main__":
    main()
