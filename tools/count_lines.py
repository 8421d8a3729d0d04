"""Count the library's lines of code: no blank lines, no comments, no docstrings.

python -m tools.count_lines
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

LIBRARY = Path(__file__).parent.parent / "s1lab"
NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


def code_lines(source: str) -> int:
    """Count the lines of a source that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        # A text alone is a docstring: of a module, a class, a function, or the name above it.
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def counted(library: Path = LIBRARY) -> dict[str, int]:
    """Count lines of code by room.

    "core" is the root, without ``__init__`` and ``__main__``. The other rooms are its folders.
    """
    rooms: dict[str, int] = {"core": 0}
    for path in sorted(library.rglob("*.py")):
        if path.parent == library and path.stem.startswith("__"):
            room = "front"
        else:
            room = "core" if path.parent == library else path.relative_to(library).parts[0]
        rooms[room] = rooms.get(room, 0) + code_lines(path.read_text(encoding="utf-8"))
    return rooms


def main() -> None:
    """Print the rooms, the modules of the core one by one, and the sum."""
    rooms = counted()
    for room, lines in rooms.items():
        print(f"{room:14}{lines:7,}")
        for path in sorted(LIBRARY.glob("[!_]*.py")) if room == "core" else ():
            print(f"  {path.stem:12}{code_lines(path.read_text(encoding='utf-8')):7,}")
    print(f"{'the library':14}{sum(rooms.values()):7,}")


if __name__ == "__main__":
    main()
