"""Our two loops against recorded cases of the original's, and on a scripted model.

fixtures/original_loops/README.md says what was recorded.
"""

from __future__ import annotations

import copy
from collections import Counter

import pytest

import s1lab as lab
from s1lab.trace import FORCED, GENERATED, THINKING, Source
from tests.helpers import ROOT
from tests.helpers.original_loops import Case, Player, played, recorded, setting, table, written_out

DOCS = ROOT / "docs"


@pytest.mark.parametrize("case", written_out(), ids=lambda case: f"{case['loop']}: {case['name']}")
def test_a_case_that_was_written_out(case):
    traces, wrong = played(case)
    assert not wrong, case["decided_by"]
    for trace, question in zip(traces, case["questions"], strict=True):
        assert (trace.waits, trace.cut) == (question["waits"], question["cut"])
        assert len(trace.ids) == len(trace.source) and not trace.answer_cut
        if case["note"]:
            assert any(case["note"] in note for note in trace.notes), trace.notes
        elif len(traces) == 1:
            assert not trace.notes


@pytest.mark.parametrize("loop", ["harness", "readme"])
def test_every_recorded_case(loop):
    cases = [case for case in recorded() if case["loop"] == loop]
    assert len(cases) > 250
    wrong = [(case, found) for case in cases if (found := played(case)[1])]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[0]}"


def test_the_ledger_holds_for_every_recorded_case():
    for case in (*written_out(), *recorded()):
        for trace, question in zip(*(played(case)[0], case["questions"]), strict=True):
            generated = len(trace.ids) - trace.source.count(Source.PROMPT)
            assert trace.sampled_tokens + trace.forced_tokens == generated
            assert set(trace.source) <= set(THINKING + FORCED + GENERATED) | {Source.PROMPT}
            assert trace.source[: len(question["prompt"])] == [Source.PROMPT] * len(
                question["prompt"]
            )
            if case["loop"] == "harness":
                written = sum(len(asked["ids"]) for asked in question["rounds"])
                # <|endoftext|> (256) ends a sequence in some cases, and is none of the evaluator's
                # stops.
                kept = sum(asked["stop"] == 256 for asked in question["rounds"])
                assert len(trace.of(Source.SAMPLED)) + trace.dropped == written + kept
                assert case["cap"] is None or trace.thinking_tokens <= case["cap"]


def test_the_table_of_the_book_is_what_the_command_prints():
    assert table() in (DOCS / "from_original.md").read_text(encoding="utf-8")


def test_the_cases_cover_the_settings():
    tried = Counter(
        setting(case, q) for case in (*written_out(), *recorded()) for q in case["questions"]
    )
    evaluator = {row[2:] for row in tried if row[0] == "evaluator"}
    for ignores in ("1", "2", "3"):
        for ended in ("cut", "own stop", "cut, total over the cap", "own stop, total over the cap"):
            assert (ignores, ended) in evaluator
    for ignores in ("not given", "0"):
        assert {(ignores, "cut"), (ignores, "own stop")} <= evaluator
    assert {row[1] for row in tried} == {"auto", "given"}
    assert {row[2:] for row in tried if row[0] == "README"} >= {
        ("3", "cut, cap used up before"),
        ("0", "own stop"),
    }


def _changed(case: Case, change) -> Case:
    other = copy.deepcopy(case)
    change(other["questions"][0])
    return other


@pytest.mark.parametrize("loop", ["harness", "readme"])
def test_a_difference_would_be_found(loop):
    """The player says so where a loop does anything else than what is recorded."""
    case = next(
        c
        for c in written_out()
        if c["loop"] == loop and c["ignores"] == 1 and len(c["questions"][0]["rounds"]) == 2
    )
    assert not played(case)[1]
    changes = {
        "another close": lambda q: q["fed"].append(198),
        "another Wait": lambda q: q["rounds"][1]["prompt"].append(275),
        "another limit": lambda q: q["rounds"][1].update(
            max_tokens=q["rounds"][1]["max_tokens"] + 1
        ),
        "another minimum": lambda q: q["rounds"][1].update(min_tokens=0),
        "another answer": lambda q: q["fed"].insert(20, 16),
    }
    for name, change in changes.items():
        assert played(_changed(case, change))[1], name


def test_no_question_leans_on_its_neighbours_in_a_batch():
    """Alone, a question of a batch gives what it gives in the batch."""
    batches = [case for case in recorded() if len(case["questions"]) > 1]
    assert len(batches) > 50
    for case in batches[:50]:
        together = [trace.ids for trace in played(case)[0]]
        alone = [
            played(case | {"questions": [question]})[0][0].ids for question in case["questions"]
        ]
        assert together == alone


def test_a_budget_tells_ignore_0_times_from_not_given(scripted):
    """``waits=0`` is thinking_n_ignore=0, which asks for a token in the first round."""
    assert (
        lab.Budget(compat="harness").waits is None
        and lab.Budget(waits=None, compat="harness").waits is None
    )
    assert lab.Budget(waits=0, compat="harness").waits == 0
    assert lab.Budget(waits=0, compat="harness") != lab.Budget(compat="harness")
    for same in ("exact", "readme"):
        assert (
            lab.Budget(compat=same)
            == lab.Budget(waits=0, compat=same)
            == lab.Budget(waits=None, compat=same)
        )
    assert lab.Budget().waits == 0

    engine = scripted(
        lambda text: "Answer: 3<|im_end|>" if "answer" in text else "<|im_start|>1<|im_end|>"
    )
    free, one = (
        lab.force(engine, "Q?", lab.Budget(compat="harness", **o)) for o in ({}, {"waits": 0})
    )
    assert (free.thinking, one.thinking) == ("", "1")
    assert [r.min_tokens for r in engine.requests] == [0, 0, 1, 0]


def test_the_evaluators_minimum_strikes_the_stops_out_of_its_one_round(scripted):
    engine = scripted(
        lambda text: "3<|im_end|>" if "answer" in text else "<|im_start|>1234567<|im_end|>"
    )
    trace = lab.force(engine, "Q?", lab.Budget(min_tokens=5, compat="harness"))
    assert (
        engine.requests[0].min_tokens == 5
        and trace.thinking_tokens >= 5
        and not trace.of(Source.CONTINUATION)
    )
    with pytest.raises(ValueError, match="no effect in the evaluator's loop beside waits=0"):
        lab.Budget(min_tokens=5, waits=0, compat="harness")
    with pytest.raises(ValueError, match="unknown to the README's loop"):
        lab.Budget(min_tokens=5, compat="readme")


def test_auto_is_of_each_question_and_has_100_tokens_for_the_answer(scripted, template):
    """The evaluator takes the longest prompt of a batch for all; here each question has its cap."""
    engine = scripted(
        lambda text: "3<|im_end|>" if "Final Answer:" in text else "a" * 500, context=400
    )
    short, long = lab.force(
        engine, ["Q?", "Q" * 50 + "?"], lab.Budget(compat="harness"), progress=False
    )
    longest = len(template.encode("<|im_start|>answer\nFinal Answer:"))
    for trace in (short, long):
        assert (
            trace.cut
            and trace.thinking_tokens == 400 - len(trace.of(Source.PROMPT)) - longest - 100
        )
    assert short.thinking_tokens > long.thinking_tokens
    (less,) = lab.force(
        engine,
        ["Q?"],
        lab.Budget(compat="harness", answer_tokens=7),
        answer_room=40,
        progress=False,
    )
    assert less.thinking_tokens == short.thinking_tokens + 60


def test_a_stored_budget_keeps_what_was_not_given(scripted, tmp_path):
    engine = scripted(lambda text: "3<|im_end|>" if "answer" in text else "1<|im_start|>")
    for place, budget in enumerate(
        (lab.Budget(compat="harness"), lab.Budget(waits=0, compat="harness")), 1
    ):
        lab.force(engine, "Q?", budget, store=tmp_path / "x.db")
        assert lab.storage.read_run(f"{tmp_path / 'x.db'}#{place}").traces[0].budget == budget


def test_the_player_reports_what_was_not_asked_there():
    case = written_out()[0]
    player = Player(case)
    from s1lab.engine import Request

    player.submit(0, Request((1, 2), 5, player.template.think_stop))
    assert player.poll()[0][1].error and "which the original does not ask" in player.wrong[0]


# On a scripted model

QUESTION = "How many r in raspberry?"


def model(*rounds: str):
    """Thinks ``rounds``, one after each Wait and the last again and again; each ends in the
    delimiter and the answer after it.
    """

    def say(text: str) -> str:
        thought = text.split("<|im_start|>think")[1]
        if text.endswith("Final Answer:"):
            return " 3<|im_end|>"
        if "<|im_start|>answer" in thought:
            return "\nAnswer: 3<|im_end|>"
        round = thought.count("Wait")
        here = rounds[min(round, len(rounds) - 1)]
        return here[len(thought.split("Wait")[-1]) :] + "<|im_start|>answer\nAnswer: 3<|im_end|>"

    return say


def test_readme_answers_without_a_delimiter_of_its_own_and_the_answer_is_what_follows_the_models(
    scripted,
):
    engine = scripted(model("\n1 r 1\n"))
    trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=50, compat="readme"))
    assert (
        trace.text.endswith("<|im_start|>think\n1 r 1\n<|im_start|>answer\nAnswer: 3")
        and trace.answer == "Answer: 3"
    )
    assert trace.forced_tokens == 0 and not trace.cut and not trace.notes


def test_readme_takes_the_stop_off_the_cap_and_answers_where_it_is_used_up(scripted):
    engine = scripted(model("1 r 1\n"))
    used = len(engine.template.encode("1 r 1\n")) + 1
    for cap, waits in ((used, 0), (used + 1, 1), (2 * used + 1, 2)):
        trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=cap, waits=3, compat="readme"))
        assert trace.error is None and trace.answer_cut is False
        assert trace.waits == waits and any("README" in note for note in trace.notes)
    assert all(r.max_tokens >= 1 for r in engine.requests)


def test_readme_notes_where_tokenising_anew_changes_ids(template):
    """A continuation that joins with the text before it: " ye" and "s" are two pieces apart and one
    token together.
    """
    from s1lab.methods import original_loops as compat
    from s1lab.trace import Trace

    trace = Trace(QUESTION, template, lab.Budget(compat="readme"))
    trace.extend(template.encode("user\n"), Source.PROMPT)
    trace.extend(template.encode(" ye"), Source.SAMPLED)
    compat._retokenise(trace, "s 1")
    assert trace.ids == template.encode("user\n yes 1") and len(trace.source) == len(trace.ids)
    assert trace.source[2] is Source.SAMPLED and trace.source[-1] is Source.CONTINUATION
    assert len(trace.notes) == 1 and "changed the ids from place 2 on" in trace.notes[0]


def test_harness_gives_each_round_the_whole_cap_and_cuts_the_total(scripted):
    engine = scripted(model("1 r 1\n", "\n2 a 1\n"))
    whole = len(engine.template.encode("1 r 1\nWait\n2 a 1\n"))
    trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=whole - 2, waits=1, compat="harness"))
    assert [r.max_tokens for r in engine.requests[:2]] == [whole - 2] * 2
    assert trace.cut and trace.thinking_tokens == whole - 2 and trace.dropped == 2
    assert trace.answer == "Answer: 3" and "thrown away" in trace.notes[0]
    assert trace.of(Source.CLOSE) == engine.template.encode(
        "<|im_start|>answer"
    )  # its last round stopped by itself


def test_harness_counts_only_the_waits_that_its_cut_left(scripted):
    engine = scripted(model("1 r 1\n", "\n2 a 1\n"))
    found = set()
    for cap in range(len(engine.template.encode("\n2 a 1\n")) + 1, 30):
        trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=cap, waits=3, compat="harness"))
        assert trace.waits == trace.thinking.count("Wait") == len(trace.of(Source.CONTINUATION))
        found.add(trace.waits)
    assert found == {1, 2, 3}


def test_harness_asks_no_further_where_a_round_reached_the_cap(scripted):
    engine = scripted(model("1 r 1\n2 a 1\n"))
    trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=4, waits=3, compat="harness"))
    assert len(engine.requests) == 2 and trace.waits == 0 and trace.cut
    assert "round 1 of 4" in trace.notes[0]


def test_harness_closes_an_own_stop_with_the_bare_delimiter(scripted):
    engine = scripted(model("1 r 1\n"))
    trace = lab.force(engine, QUESTION, lab.Budget(max_tokens=50, compat="harness"))
    assert (
        trace.of(Source.CLOSE) == engine.template.encode("<|im_start|>answer")
        and trace.answer == "Answer: 3"
    )


@pytest.mark.parametrize("compat", ["readme", "harness"])
def test_sampling_reaches_every_round(scripted, compat):
    engine = scripted(model("1 r 1\n"))
    lab.force(
        engine, QUESTION, lab.Budget(max_tokens=30, waits=1, compat=compat), temperature=0.5, seed=3
    )
    assert {r.temperature for r in engine.requests} == {0.5}
    assert len({r.seed for r in engine.requests}) == len(engine.requests) == 3
