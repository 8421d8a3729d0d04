"""The thinking formats on each engine: the same ids, the thinking opened and closed once, a Wait, a
cap, no thinking.

One model writes in all formats, each token of it known (:mod:`tests.conformance.formats`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s1lab.trace import THINKING, Source
from tests.conformance.formats import THOUGHTS, WAITS, bound, save
from tests.conformance.serving import Server
from tests.helpers import ROOT

pytestmark = pytest.mark.xdist_group("formats")

CAPS = range(1, 16)
Rows = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("formats") / "model")


@pytest.fixture(scope="module", params=["transformers", "vllm", "server"])
def answers(request: pytest.FixtureRequest, folder: Path) -> Rows:
    """What an engine made of the formats, in its own process: vLLM holds one model a process."""
    command = [sys.executable, "-m", "tests.conformance.formats", str(folder), request.param]
    server = Server(folder, folder / "log") if request.param == "server" else None
    try:
        if server:
            command.append(server.start().wait().address)
        env = os.environ | {"VLLM_LOGGING_LEVEL": "ERROR"}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400
        )
    finally:
        if server:
            server.stop()
    assert done.returncode == 0, done.stderr[-3000:]
    found: Rows = json.loads((folder / f"{request.param}.json").read_text())
    return found


@pytest.fixture(scope="module")
def reference(folder: Path) -> Rows:
    path = folder / "transformers.json"
    if not path.exists():
        subprocess.run(
            [sys.executable, "-m", "tests.conformance.formats", str(folder), "transformers"],
            cwd=ROOT,
            check=True,
        )
    found: Rows = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("name", WAITS)
def test_each_format_has_the_reference_ids(answers, reference, name):
    for case, row in answers[name].items():
        if "sampled" not in case and case not in ("tree", "rejected"):  # a seed is an engine's own
            assert row == reference[name][case], case


@pytest.mark.parametrize("name", WAITS)
def test_the_thinking_is_opened_and_closed_once_and_waits_suppress(answers, name):
    template, rows = bound(name), answers[name]
    thought, wait = THOUGHTS[name], WAITS[name]
    for case, waits in (("own stop", 0), ("two waits", 2), ("floor", 3), ("control tokens", 1)):
        row = rows[case]
        assert row["error"] is None and row["waits"] == waits and not row["cut"], case
        assert row["thinking"].strip("\n") == wait.join([thought] * (waits + 1)), case
        behind = (
            row["text"].partition("?")[2].split(row["answer"])[0]
            if row["answer"]
            else row["text"].partition("?")[2]
        )
        assert behind.count(template.template.open.strip()) == 1, case
        forced = [i for i, s in zip(row["ids"], row["source"], strict=True) if s == Source.CLOSE]
        assert template.decode(forced).strip("\n") == template.template.close.strip("\n"), case
        assert len(row["stops"]) == waits + 1
    assert rows["two waits"]["source"].count(Source.CONTINUATION) == 2


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("kind", ["", "sampled "])
def test_a_cap_holds_and_a_rung_is_its_own_run(answers, name, kind):
    template, rows = bound(name), answers[name]
    cuts = 0
    for cap in CAPS:
        alone, rung = rows[f"{kind}cap {cap}"], rows[f"{kind}rung {cap}"]
        assert alone == rung, cap
        assert sum(s in THINKING for s in alone["source"]) <= cap
        assert alone["error"] is None or "tool" in alone["error"]
        if not alone["error"]:
            assert alone["text"].partition("?")[2].count(template.template.ends[0]) >= 1
        cuts += alone["cut"]
    assert cuts > 0
    if not kind:
        assert rows["cap 15"]["waits"] == 1 and rows["cap 1"]["thinking"] == THOUGHTS[name][0]


@pytest.mark.parametrize("name", WAITS)
def test_without_thinking_the_prompt_is_the_formats_own(answers, name):
    from tests.helpers.families import FAMILIES

    row = answers[name]["no thinking"]
    before = bound(name).decode_whole(
        [i for i, s in zip(row["ids"], row["source"], strict=True) if s != Source.ANSWER]
    )
    assert before.endswith(
        FAMILIES[name].skipped if name in FAMILIES else "<|im_start|>assistant\n"
    )
    assert not any(s in THINKING for s in row["source"]) and row["error"] is None


@pytest.mark.parametrize("name", WAITS)
def test_control_tokens_of_a_prompt_are_the_chat_templates_own(answers, name):
    template, row = bound(name), answers[name]["control tokens"]
    prompt = [i for i, s in zip(row["ids"], row["source"], strict=True) if s == Source.PROMPT]
    plain = template.prompt("Q?") + template.open_ids(template.prompt("Q?"))
    own = [i for i in plain if i in template.encoder.control_ids]
    assert [i for i in prompt if i in template.encoder.control_ids] == own
    assert "How many <|im_start|> in " in template.decode_whole(prompt)
    assert (
        len(row["notes"]) == 1
        and "'<|im_start|>'" in row["notes"][0]
        and "allow_special=True" in row["notes"][0]
    )


@pytest.mark.parametrize("name", WAITS)
def test_the_other_methods_end_within_their_bounds(answers, name):
    for case in ("readme", "harness", "no text", "sampled", "tree", "rejected"):
        row = answers[name][case]
        assert row["error"] is None or "called a tool" in row["error"], case
        assert len(row["ids"]) == len(row["source"])
        most = {"rejected": 6}.get(case, 61)
        assert sum(s in THINKING for s in row["source"]) <= most, case
