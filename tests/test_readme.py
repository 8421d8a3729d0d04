"""What the README says is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import s1lab as lab

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_four_lines_run(capsys):
    exec(BLOCKS[0], {})
    assert "«Wait»" in capsys.readouterr().out


def test_its_curation_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in BLOCKS if "lab.curate" in b)
    exec(block.replace("pool()", "pool(900)").replace("1000", "40"), {"lab": lab})
    assert re.search(r"^select \(paper\) +40  not chosen", capsys.readouterr().out, re.MULTILINE)


def test_its_rivals_run(capsys):
    (block,) = (b for b in BLOCKS if "lab.vote" in b)
    exec(block, {"lab": lab, "engine": lab.load("s1-tiny")})
    assert capsys.readouterr().out.count("thrown away") == 2


def test_its_table_is_the_recorded_run():
    rungs = json.loads((ROOT / "s1lab" / "tiny" / "made.json").read_text())["measured"]["rungs"]
    rows = re.findall(r"^\| (cap \d+|own stop|\d Waits?) \| (\d+) \| ([\d.]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == sum(isinstance(r, dict) for r in rungs.values())
    for name, tokens, accuracy in rows:
        key = name if "Wait" not in name else f"waits {name.split()[0]}"
        assert tokens == f"{rungs[key]['thinking_tokens']:.0f}" and accuracy == f"{rungs[key]['accuracy']:.1f}"


def test_every_target_and_every_file_it_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named <= targets and {"reproduce", "test"} <= named
    for path in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`lab\.([a-z_]+)[(`.]", TEXT):
        assert hasattr(lab, name), name
