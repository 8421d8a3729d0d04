"""What the README and its longer page in the book say is so."""

from __future__ import annotations

import json
import re
from calendar import month_name
from collections.abc import Iterator
from itertools import zip_longest

import pytest

import s1lab as lab
from tests.helpers import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")  # what is too long for the README
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT + GUIDE, re.DOTALL)
SHOWN = dict(
    re.findall(r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", TEXT + GUIDE, re.DOTALL)
)  # what a block prints, by the block
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
# Numbers in words, in both languages. One is left out, which is an article too; a month before a
# year is a number in Chinese.
VALUES = "2 3 4 5 6 7 8 9 10 1000 1000000".split()
ENGLISH = "two three four five six seven eight nine ten(fold)? thousand million".split()
WORDS = {rf"\b{word}\b": value for word, value in zip(ENGLISH, VALUES, strict=True)}
WORDS |= dict(zip("(?<!第)[两二] 三 四 五 六 七 八 九 十 千 百万".split(), VALUES, strict=True))
WORDS |= {rf"\b{name}\b(?= \d{{4}})": str(month) for month, name in enumerate(month_name) if name}


def test_it_is_short():
    assert 6_000 <= len(TEXT.encode()) <= 9_000


def test_the_four_lines_run(capsys):
    exec(BLOCKS[0], {})
    assert capsys.readouterr().out == SHOWN[BLOCKS[0]] and "«Wait»" in SHOWN[BLOCKS[0]]


@pytest.mark.long
def test_the_guides_curation_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in BLOCKS if "lab.curate" in b)
    exec(block.replace("pool()", "pool(250)").replace("1000", "20"), {"lab": lab})
    assert re.search(r"^select \(paper\) +20  not chosen", capsys.readouterr().out, re.MULTILINE)


def test_the_guides_rivals_run(capsys):
    (block,) = (b for b in BLOCKS if "lab.vote" in b)
    exec(block, {"lab": lab, "engine": lab.load("s1-tiny")})
    printed, shown = capsys.readouterr().out.splitlines(), SHOWN[block].splitlines()
    assert (
        [line.split()[0] for line in printed] == [line.split()[0] for line in shown] == ["2", "3"]
    )
    assert all("thrown away" in line for line in printed + shown)


def test_its_table_is_the_recorded_run():
    rungs = json.loads((ROOT / "s1lab" / "tiny" / "made.json").read_text())["measured"]["rungs"]
    rows = re.findall(
        r"^\| (cap \d+|own stop|\d Waits?) \| (\d+) \| ([\d.]+) \|$", TEXT, re.MULTILINE
    )
    assert len(rows) == sum(isinstance(r, dict) for r in rungs.values())
    for name, tokens, accuracy in rows:
        key = name if "Wait" not in name else f"waits {name.split()[0]}"
        assert (
            tokens == f"{rungs[key]['thinking_tokens']:.0f}"
            and accuracy == f"{rungs[key]['accuracy']:.1f}"
        )


def test_every_target_and_every_file_it_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named <= targets and {"reproduce", "test"} <= named
    for path in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`lab\.([a-z_]+)[(`.]", TEXT):
        assert hasattr(lab, name), name


def pieces(text: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Each heading, paragraph and table row, with what a translation leaves in it; the order inside
    is the language's own.
    """
    for piece in re.split(r"\n\n+|\n(?=\|)", FENCED.sub("", text).strip()):
        plain = re.sub(r"`[^`\n]+`", "", piece)
        links, plain = re.findall(r"\]\(([^)]+)\)", plain), re.sub(r"\]\([^)]+\)", "]", plain)
        numbers = [
            number.replace(",", "") for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)*", plain)
        ]
        numbers += [
            number
            for word, number in WORDS.items()
            for _ in re.finditer(word, plain, re.IGNORECASE)
        ]
        kept = {
            "heading": len(re.match("#*", piece)[0]),
            "columns": plain.count("|") if piece.startswith("|") else 0,
            "code": sorted(re.findall(r"`([^`\n]+)`", piece)),
            "links": sorted(links),
            "numbers": sorted(numbers),
        }
        yield piece, kept


def test_the_chinese_one_has_the_same_code_numbers_links_headings_and_tables():
    assert FENCED.findall(CHINESE) == FENCED.findall(TEXT)
    there, back = "*[中文](README.zh-CN.md)*", "*[English](README.md)*"
    assert TEXT.splitlines()[2] == there and CHINESE.splitlines()[2] == back
    both = pieces(TEXT.replace(there, "")), pieces(CHINESE.replace(back, ""))
    for (ours, kept), (theirs, found) in zip_longest(*both, fillvalue=("", {})):
        assert found == kept, f"{theirs}\n\nis not\n\n{ours}"
