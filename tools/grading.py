"""``make grading GRADED=file``: grade answers that others have graded, and compare with a rival.

It prints a table by source. A row of the file holds ``source``, ``kind`` ("math", "integer",
"choice" or "exact"), ``response``, ``gold``, and ``expected``, the right verdict. The rival is
math-verify on the whole response. For choices it is the regular expressions of
lm-evaluation-harness' multiple-choice tasks.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from s1lab.evaluation import grade

# The patterns of the harness' tasks, strictest first: MMLU-Pro, its flexible GPQA filter, BBH.
CHOICE = (
    r"answer is \(?([A-J])\)?",
    r"(\([A-J]\))",
    r"(?<=the answer is )(.*)(?=.)",
    r"\b([A-J])\b",
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file of JSON lines, which may be compressed with gzip."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode("utf-8").splitlines() if line.strip()]


def ours(rows: list[dict[str, Any]]) -> list[bool]:
    """Return the verdicts of `s1lab.evaluation.grade`."""
    columns = ([row[name] for row in rows] for name in ("response", "gold", "kind"))
    return [verdict.correct for verdict in grade.verdicts(*columns)]


def rivals(rows: list[dict[str, Any]]) -> list[bool]:
    """Return the verdicts of math-verify or, for choices, of the harness' regular expressions."""
    return [_by_regex(row) if row["kind"] == "choice" else _by_math_verify(row) for row in rows]


def _by_math_verify(row: dict[str, Any]) -> bool:
    from math_verify import parse, verify

    gold = row["gold"] if re.search(r"\$|\\boxed|\\\(|\\\[", row["gold"]) else f"${row['gold']}$"
    return bool(verify(parse(gold), parse(row["response"])))


def _by_regex(row: dict[str, Any]) -> bool:
    wanted = re.search(r"[A-Ja-j]", row["gold"])
    for pattern in CHOICE:
        if found := re.findall(
            pattern, row["response"], re.IGNORECASE if "answer" in pattern else 0
        ):
            letter = re.search(r"[A-Ja-j]", found[-1])
            return bool(letter and wanted and letter[0].upper() == wanted[0].upper())
    return False


def table(rows: list[dict[str, Any]]) -> str:
    """Write the table in Markdown: one line for each source, and one for all."""
    lines = [
        "| source | rows | agree | wrong graded right | right graded wrong | s | rival: agree | "
        "wrong graded right | s |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    sums = [0.0] * 8
    for source in dict.fromkeys(re.sub(r":.*", "", row["source"]) for row in rows):
        mine = [row for row in rows if re.sub(r":.*", "", row["source"]) == source]
        counts = [float(len(mine))]
        for judge in (ours, rivals):
            began = time.perf_counter()
            found = judge(mine)
            took = time.perf_counter() - began
            pairs = [
                (verdict, bool(row["expected"])) for verdict, row in zip(found, mine, strict=True)
            ]
            wrong = sum(verdict and not expected for verdict, expected in pairs)
            right = sum(expected and not verdict for verdict, expected in pairs)
            agree = len(mine) - wrong - right
            counts += [agree, wrong, right, took] if judge is ours else [agree, wrong, took]
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        lines.append(_line(source, counts))
    return "\n".join([*lines, _line("**all**", sums)])


def _line(name: str, counts: list[float]) -> str:
    n = counts[0]
    shown = [
        f"{n:.0f}",
        f"{100 * counts[1] / n:.1f} %",
        *(f"{c:.0f}" for c in counts[2:4]),
        f"{counts[4]:.1f}",
    ]
    shown += [f"{100 * counts[5] / n:.1f} %", f"{counts[6]:.0f}", f"{counts[7]:.1f}"]
    return f"| {name} | {' | '.join(shown)} |"


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("give a file of graded answers: make grading GRADED=graded.jsonl.gz")
    print(table(rows_of(Path(sys.argv[1]))))
