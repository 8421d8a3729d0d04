"""Write every diagram to notebooks/diagrams/."""

from __future__ import annotations

from pathlib import Path

from tools.diagrams import DIAGRAMS


def main() -> None:
    folder = Path("notebooks/diagrams")
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DIAGRAMS.items():
        path = folder / f"{name}.svg"
        path.write_text(draw(), encoding="utf-8", newline="\n")
        print("wrote", path.as_posix())


if __name__ == "__main__":
    main()
