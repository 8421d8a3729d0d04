"""The original's two loops through ``lab.force``, on a scripted model; recorded cases are in test_original_loops.py."""

from __future__ import annotations

import pytest

import s1lab as lab
from s1lab.trace import Source

QUESTION = "How many r in raspberry?"


def model(*rounds: str):
    """Thinks ``rounds``, one after each Wait and the last again and again; each ends in the delimiter and the answer after it."""

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
    """A continuation that joins with the text before it: " ye" and "s" are two pieces apart and one token together."""
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
