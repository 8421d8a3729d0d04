"""`make endurance` counts what holds, and notices what doesn't."""

from __future__ import annotations

import os
import random
import time
from types import SimpleNamespace

import pytest

from tools import endurance
from tools.endurance import Line, attempts, forked, kill_of_a_writer, turned


def test_one_bit_is_turned_and_half_of_them_in_front():
    content, rng = bytes(range(256)) * 40, random.Random(0)
    places = []
    for _ in range(400):
        changed = turned(content, rng, front=100)
        different = [i for i, (a, b) in enumerate(zip(content, changed, strict=True)) if a != b]
        assert len(different) == 1
        assert (content[different[0]] ^ changed[different[0]]).bit_count() == 1
        places += different
    assert 150 < sum(place < 100 for place in places) < 260


def test_each_try_has_a_folder_and_draws_of_its_own_and_an_exception_does_not_hold(tmp_path):
    seen = []

    def kind(work, folder, rng):
        assert not os.listdir(folder)
        (folder / "x").touch()
        seen.append(rng.random())
        if len(seen) == 2:
            raise KeyError("deep inside")
        return None if len(seen) == 1 else "another result"

    work = SimpleNamespace(folder=tmp_path)
    found = list(attempts(Line("x", 3, kind), work, 3, seed=0))
    assert found == [None, "KeyError: 'deep inside'", "another result"]
    assert len(set(seen)) == 3 and not os.listdir(tmp_path)


@pytest.mark.long
def test_a_writer_that_leaves_half_a_file_is_noticed(tmp_path, monkeypatch):
    rng = random.Random(3)
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        assert kill_of_a_writer(None, tmp_path / str(number), rng) is None

    def write(path, lines):
        with path.open("wb") as file:
            for line in lines:
                file.write(line)
                file.flush()
                time.sleep(0.0001)

    monkeypatch.setattr(endurance, "write_whole", write)
    faults = []
    for number in range(4, 8):
        (tmp_path / str(number)).mkdir()
        faults.append(kill_of_a_writer(None, tmp_path / str(number), rng))
    assert "half a file" in faults


def test_another_process_tells_what_it_returned_or_raised():
    assert forked(lambda: [os.getpid()]) != [os.getpid()]
    assert isinstance(forked(lambda: [][0]), IndexError)
    assert forked(lambda: time.sleep(60), seconds=0.05) is None
