"""The house's docstrings as Markdown: a field or parameter is a line "name: what it is", a role is a link."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

_FIELD = re.compile(
    r"(?P<names>[a-z_]\w*(?:(?:, | and )[a-z_]\w*)*)(?P<value>=\S+)?(?P<colon>:?) (?P<text>\S.*)"
)
_ROLE = re.compile(r":(func|class|mod|meth|data):`~?([\w.]+)`")
_ROOT = Path(__file__).parent.parent
_TABLES = "s1lab.paper.numbers"
_PARAGRAPH = re.compile(r"(?:Raises|Warns|The rest is)\b|[A-Z]\w*Error\b")


class HouseStyle(griffe.Extension):
    """Rewrites each docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Griffe calls this for every module, class, function and attribute that it has read."""
        if obj.is_attribute and obj.module.path == _TABLES and obj.name.isupper():
            obj.docstring = griffe.Docstring(_comment_above(obj), parent=obj)
        if obj.docstring:
            names = _names(obj)
            obj.docstring.value = _ROLE.sub(
                lambda m: _link(m[1], m[2], obj), "\n".join(markdown(obj.docstring.value, names))
            )


def _names(obj: griffe.Object) -> set[str]:
    """What a line may describe: parameters of a function; fields and parameters of a class."""
    functions = (
        [obj] if obj.is_function else [obj.members["__init__"]] if "__init__" in obj.members else []
    )
    found = {p.name for f in functions if isinstance(f, griffe.Function) for p in f.parameters}
    return found | (
        {name for name, member in obj.members.items() if member.is_attribute}
        if obj.is_class
        else set()
    )


def markdown(text: str, names: set[str]) -> Iterator[str]:
    """A docstring's lines with its descriptions as a list.

    A line counts as one when it stands at the margin, and describes known names or follows a whole sentence. It goes on in lines
    that are indented, or that follow no whole sentence.
    """
    if names:  # a description may follow another on its line
        known = "|".join(map(re.escape, sorted(names)))
        text = re.sub(rf"(?<=[.;]) (?=(?:{known})(?:, (?:{known}))*: )", "\n", text)
    before, listed = "", False
    for line in text.split("\n"):
        found = _FIELD.fullmatch(line)
        told = set(re.split(r", | and ", found["names"])) if found else set()
        if (
            found
            and (found["colon"] or found["value"])
            and (told <= names or (found["colon"] and before[-1:] in ("", ".")))
        ):
            if not listed:
                yield ""
            shown = "`, `".join(re.split(r", | and ", found["names"])) + (found["value"] or "")
            yield f"- **`{shown}`**{found['colon']} {found['text']}"
            listed = True
        elif listed and line.strip() and (line.startswith("    ") or before[-1:] not in ".:"):
            yield f"    {line.strip()}"
        else:
            if (listed and line.strip()) or (before.endswith(".") and _PARAGRAPH.match(line)):
                yield ""
            listed = listed and not line.strip()
            yield line
        before = line.strip()


def _comment_above(obj: griffe.Object) -> str:
    """The comment in the lines above a table of the paper's, which says what its numbers are."""
    lines = obj.lines_collection[obj.filepath][: (obj.lineno or 1) - 1]
    taken = list(itertools.takewhile(lambda line: line.startswith("# "), reversed(lines)))
    return "\n".join(line.removeprefix("# ") for line in reversed(taken))


def _link(role: str, name: str, obj: griffe.Object) -> str:
    if role == "data":  # a table in the source, on no page
        return f"`{name}`"
    path = name
    if not name.startswith("s1lab"):
        for scope in (obj, obj.parent):
            try:
                path = scope.resolve(name) if scope else name
                break
            except griffe.NameResolutionError:
                continue
    return f"[`{name}`][{_function(path)}]" if role == "func" else f"[`{name}`][{path}]"


def _function(path: str) -> str:
    """Where a function has the name of its module (``s1lab.ladder``), Griffe knows the module by it, and the function below."""
    file, name = _ROOT / f"{path.replace('.', '/')}.py", path.rpartition(".")[2]
    return (
        f"{path}.{name}"
        if file.is_file() and re.search(rf"^def {name}\(", file.read_text(encoding="utf-8"), re.M)
        else path
    )
