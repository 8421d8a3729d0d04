"""The rivals of budget forcing against scripted models: what each asks, how it ends, and what its
ledger says it cost.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.methods import conditional as control
from s1lab.methods.steps import step_mark
from s1lab.storage.run import packed
from s1lab.tokenization.presets import THINK_TAGS
from s1lab.trace import Source
from tests.helpers import ROOT
from tests.helpers.scripted import ANSWER, THINK, ctrl_c_at, kinds, thinker

QUESTION = "How many r in raspberry?"


def stepper(*steps: str, end: str = "<|im_end|>", answer: str = "Answer: 3<|im_end|>"):
    """A model that writes ``steps`` below headers that count down from what was asked, then its
    answer.
    """

    def say(text: str) -> str:
        if ANSWER in text:
            return " 3<|im_end|>" if text.endswith("Final Answer:") else answer
        n = int(text.split("up to ")[1].split(" ")[0])
        whole = (
            "".join(f"<|im_start|>{n - k} steps left\n{step}\n" for k, step in enumerate(steps))
            + ANSWER
        )
        written = text[text.rindex("assistant\n") + len("assistant\n") :]
        assert whole.startswith(written), written
        return whole[len(written) :] + answer

    return say


def drafts(template, *thoughts: str):
    """An engine whose thinking is another one at each try; its answer is 3."""
    from tests.helpers.scripted import Scripted

    class Drafting(Scripted):
        def __init__(self) -> None:
            super().__init__(template, lambda text: "")
            self.tries = 0

        def submit(self, key: int, request: Request) -> None:
            text = self.template.decode(list(request.ids))
            if ANSWER in text:
                self.say = lambda _: " 3<|im_end|>"
            else:
                thought = thoughts[min(self.tries, len(thoughts) - 1)]
                self.say = lambda _: thought + "<|im_start|>"
                self.tries += 1
            super().submit(key, request)

    return Drafting()


def test_token_conditional_control_asks_after_an_empty_line_and_leaves_it_to_the_model(scripted):
    engine = scripted(thinker("1 r 1\n2 a 1\n"))
    trace = lab.methods.token_conditional(engine, QUESTION, 8)
    assert (
        "raspberry?\n\nThink for up to 8 tokens.<|im_end|>" in trace.text
        and trace.question == QUESTION
    )
    assert trace.thinking == "1 r 1\n2 a 1\n" and trace.thinking_tokens > 8 and not trace.cut


def test_token_conditional_control_with_budget_forcing_keeps_to_the_number(scripted):
    engine = scripted(thinker("1 r 1\n2 a 1\n"))
    forced = lab.methods.token_conditional(engine, QUESTION, 8, force=True)
    assert forced.cut and forced.thinking_tokens == 8 and forced.answer == "Final Answer: 3"
    assert (
        forced.ids
        == lab.methods.token_conditional(engine, QUESTION, 8, lab.Budget(max_tokens=8)).ids
    )
    lower = lab.methods.token_conditional(
        engine, [QUESTION], 8, [lab.Budget(max_tokens=5)], force=True
    )[0]
    assert lower.thinking_tokens == 5


@pytest.mark.parametrize(
    ("length", "words"),
    [("short", "a short amount"), ("long", "absolutely sure"), (None, "raspberry?<|im")],
)
def test_class_conditional_control_asks_in_the_papers_words(scripted, length, words):
    trace = lab.methods.class_conditional(scripted(thinker("1 r 1\n")), QUESTION, length)
    prompt = trace.text.split(THINK)[0]
    assert words in prompt and ("raspberry?\n\nAnswer after" in prompt) == (length is not None)
    assert lab.methods.class_conditional(
        scripted(thinker("1 r 1\n")), QUESTION, length, lab.Budget(max_tokens=2)
    ).cut


def test_steps_are_counted_and_the_answers_word_ends_them(scripted, template):
    trace = lab.methods.step_conditional(scripted(stepper("1 r 1", "2 a 1", "3 s 1")), QUESTION, 4)
    assert trace.text.endswith(
        "<|im_start|>assistant\n<|im_start|>4 steps left\n1 r 1\n<|im_start|>3 steps left\n2 a 1\n"
        "<|im_start|>2 steps left\n3 s 1\n<|im_start|>answer\nAnswer: 3"
    )
    assert kinds(trace) == ["prompt", "sampled", "close", "answer"] and not trace.cut
    headers = [template.encode(f"<|im_start|>{n} steps left\n") for n in (3, 2)]
    assert trace.counts == {"steps": 3, "delimiter_tokens": sum(map(len, headers))}
    steps = sum(len(template.encode(f"{step}\n")) for step in ("1 r 1", "2 a 1", "3 s 1"))
    assert trace.thinking_tokens == steps + trace.counts["delimiter_tokens"]
    assert trace.dropped == 1  # the answer's word, which comes again with the close


def test_a_model_may_go_on_past_its_steps_and_budget_forcing_closes_them(scripted):
    model = stepper("1 r 1", "2 a 1", "3 s 1", "4 p 1")
    free = lab.methods.step_conditional(scripted(model), QUESTION, 2)
    assert (
        free.counts["steps"] == 4
        and "0 steps left" in free.text
        and "-1 steps left" in free.text
        and not free.cut
    )
    forced = lab.methods.step_conditional(scripted(model), QUESTION, 2, force=True)
    assert forced.counts["steps"] == 2 and forced.cut
    assert forced.text.endswith(
        "1 steps left\n2 a 1\n<|im_start|>answer\nAnswer: 3"
    )  # whole steps: no words are put in its mouth
    assert forced.ids[: len(forced.ids) - 10] == free.ids[: len(forced.ids) - 10]
    enough = lab.methods.step_conditional(scripted(model), QUESTION, 4, force=True)
    assert enough.counts["steps"] == 4 and not enough.cut


def test_a_cap_bounds_steps_with_their_headers(scripted):
    model = stepper(*["1 r 1"] * 300)
    for cap in range(1, 60):
        trace = lab.methods.step_conditional(
            scripted(model), QUESTION, 4, lab.Budget(max_tokens=cap)
        )
        assert trace.thinking_tokens <= cap and trace.error is None
        assert trace.cut is trace.answer.startswith("Final Answer:")
        assert trace.cut == (trace.thinking_tokens == cap)
    free = lab.methods.step_conditional(
        scripted(model, context=300), QUESTION, 4, lab.Budget(answer_tokens=9)
    )
    assert free.error is None and len(free.ids) <= 300 and free.counts["steps"] > 4


def test_the_end_of_a_sequence_or_a_delimiter_behind_one_ends_the_steps(scripted):
    for text in ("1 r 1\n<|im_end|>", "1 r 1\n<|im_start|><|im_start|>"):

        def say(so_far: str, text=text) -> str:
            if ANSWER in so_far:
                return "Answer: 3<|im_end|>"
            return "<|im_start|>" if so_far.endswith("1 r 1\n<|im_start|>") else text

        trace = lab.methods.step_conditional(scripted(say), QUESTION, 4)
        assert (
            trace.counts["steps"] == 1
            and not trace.cut
            and trace.thinking == "1 r 1\n"
            and trace.answer == "Answer: 3"
        )


def test_a_header_without_an_end_is_no_delimiter_beyond_its_first_word(scripted):
    whole = "1 r 1\n<|im_start|>abc" + "<|im_start|>answer\n"

    def say(text: str) -> str:
        return (
            "Answer: 3<|im_end|>"
            if ANSWER in text
            else whole[len(text.split("4 steps left\n")[1]) :]
        )

    trace = lab.methods.step_conditional(scripted(say), QUESTION, 4)
    assert trace.counts == {"steps": 2, "delimiter_tokens": 2} and trace.thinking.endswith(
        "<|im_start|>abc"
    )


def test_a_rejection_takes_the_first_try_that_fits(template):
    first, second, third = "abcdefgh", "abcde", "abc"
    engine = drafts(template, first, second, third)
    trace = lab.methods.reject(engine, QUESTION, 4, tries=9)
    assert trace.thinking == third and trace.answer == "3" and not trace.cut and not trace.notes
    assert trace.counts == {"tries": 3, "fits": 1}
    assert trace.dropped == 5 + 5  # each failed try was given up one token beyond the limit
    assert trace.sampled_tokens == 3 + len(template.encode(" 3")) and trace.forced_tokens == len(
        template.encode("\n<|im_start|>answer\n")
    )
    asked = [r for r in engine.requests if r.max_tokens == 5]
    assert len({r.seed for r in asked}) == 3 == len(asked) and all(
        r.temperature == 1 for r in engine.requests
    )


@pytest.mark.parametrize(("thought", "fits"), [("abcd", 1), ("abcde", 0)])
def test_a_thought_of_exactly_the_limit_fits(template, thought, fits):
    assert (
        lab.methods.reject(drafts(template, thought), QUESTION, 4, tries=1).counts["fits"] == fits
    )


def test_a_rejection_that_never_fits_ends_after_its_tries_cut_and_says_so(template):
    engine = drafts(template, "abcdefgh")
    trace = lab.methods.reject(engine, QUESTION, 4, tries=5)
    assert engine.tries == 5 and trace.counts == {"tries": 5, "fits": 0}
    assert trace.cut and trace.thinking == "abcd" and trace.answer == "Final Answer: 3"
    assert (
        trace.dropped == 4 * 5 + 1 and "none of 5 tries" in trace.notes[0] and trace.error is None
    )


def test_a_failed_request_ends_a_rejection_and_a_count_of_steps(template, scripted):
    class Failing(type(scripted(thinker("1 r 1\n")))):
        def poll(self):
            return [
                (key, Completion(done.ids[:2], error="the server died"))
                for key, done in super().poll()
            ]

    rejected = lab.methods.reject(Failing(template, thinker("1 r 1\n")), QUESTION, 40)
    stepped = lab.methods.step_conditional(Failing(template, stepper("1 r 1")), QUESTION, 4)
    assert rejected.error == stepped.error == "the server died" and rejected.counts == {
        "tries": 1,
        "fits": 0,
    }
    assert rejected.thinking_tokens == stepped.thinking_tokens == 2


def test_a_prompt_that_does_not_fit_is_an_error_of_its_own(scripted):
    long = "How many r in " + "x" * 90 + "?"
    engine = scripted(stepper("1 r 1"), context=120)
    good, bad = lab.methods.step_conditional(engine, [QUESTION, long], 2)
    assert good.answer == "Answer: 3" and "shorten" in bad.error
    assert "shorten" in lab.methods.reject(scripted(thinker("1 r 1\n"), context=90), long, 8).error


def test_the_ledger_of_random_step_models(template):
    from tests.helpers.scripted import Scripted

    rng = random.Random(3)
    for _ in range(150):

        def say(_: str) -> str:
            text = "".join(rng.choice("abc 12\n") for _ in range(rng.randint(0, 12)))
            return (
                text
                + rng.choice(["<|im_start|>answer\n", "<|im_start|>3 steps left\n", "<|im_end|>"])
                + "<|im_end|>"
            )

        engine = Scripted(template, say, context=260)
        cap, forced = rng.choice([None, 1, 7, 30]), rng.random() < 0.5
        trace = lab.methods.step_conditional(
            engine, QUESTION, rng.randint(1, 4), lab.Budget(cap, answer_tokens=9), force=forced
        )
        assert trace.error is None and len(trace.ids) == len(trace.source) <= 260
        assert trace.sampled_tokens + trace.forced_tokens + trace.source.count(
            Source.PROMPT
        ) == len(trace.ids)
        assert cap is None or trace.thinking_tokens <= cap
        assert not forced or trace.counts["steps"] <= int(
            trace.text.split("up to ")[1].split(" ")[0]
        )
        assert 0 <= trace.counts["delimiter_tokens"] <= trace.thinking_tokens
        mark = template.encode("<|im_start|>")[0]
        assert trace.of(Source.SAMPLED).count(mark) == trace.counts["steps"] - 1
        for request in (
            engine.requests
        ):  # what was fed is what is recorded, but for a delimiter that was only looked behind
            fed = list(request.ids)
            assert fed == trace.ids[: len(fed)] or (
                fed[:-1] == trace.ids[: len(fed) - 1] and fed[-1] == mark
            )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: lab.methods.token_conditional(e, QUESTION, 0), ["tokens=0"]),
        (lambda e: lab.methods.step_conditional(e, QUESTION, 2.5), ["steps=2.5"]),
        (lambda e: lab.methods.reject(e, QUESTION, 0), ["limit=0"]),
        (lambda e: lab.methods.reject(e, QUESTION, 5, tries=0), ["tries=0"]),
        (
            lambda e: lab.methods.reject(e, QUESTION, 5, temperature=0),
            ["temperature=0", "the same"],
        ),
        (
            lambda e: lab.methods.reject(e, QUESTION, 5, budget=lab.Budget(max_tokens=4)),
            ["max_tokens", "limit"],
        ),
        (lambda e: lab.methods.reject(e, QUESTION, 5, budget=lab.Budget(waits=1)), ["waits=1"]),
        (
            lambda e: lab.methods.step_conditional(e, QUESTION, 5, lab.Budget(min_tokens=4)),
            ["min_tokens=4"],
        ),
        (
            lambda e: lab.methods.step_conditional(e, QUESTION, 5, lab.Budget(compat="readme")),
            ["compat='readme'"],
        ),
        (lambda e: lab.methods.class_conditional(e, QUESTION, "brief"), ["'brief'", "short"]),
        (lambda e: lab.methods.token_conditional(e, [], 8), ["empty"]),
    ],
)
def test_bad_input_is_one_sentence_and_runs_nothing(scripted, call, words):
    engine = scripted(thinker("1 r 1\n"))
    with pytest.raises(ValueError) as error:
        call(engine)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)
    assert not engine.requests


def test_a_template_without_turns_can_not_count_steps():
    with pytest.raises(ValueError, match="'think-tags' can't count steps"):
        step_mark(THINK_TAGS)


def test_a_model_that_was_not_trained_for_a_format_is_warned_of_once(tiny, scripted, monkeypatch):
    monkeypatch.setattr(control, "_warned", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            lab.methods.step_conditional(tiny, QUESTION, 2, lab.Budget(max_tokens=4))
            lab.methods.token_conditional(tiny, QUESTION, 8, lab.Budget(max_tokens=4))
            lab.methods.class_conditional(
                tiny, QUESTION, "short", lab.Budget(max_tokens=4)
            )  # plain prompting: nothing to be trained
        lab.methods.token_conditional(
            scripted(thinker("1 r 1\n")), QUESTION, 8
        )  # no files of it are at hand: nothing is known
    assert [w.category for w in caught] == [UserWarning] * 2
    for warning, kind in zip(caught, ("scc", "tcc"), strict=True):
        assert f"s1-tiny-{kind}" in str(warning.message) and "\n" not in str(warning.message)
        assert warning.filename == __file__


def test_stored_traces_keep_what_was_counted_and_old_ones_still_read(template, tmp_path):
    engine = drafts(template, "abcdefgh", "abc")
    trace = lab.methods.reject(engine, [QUESTION], 4, store=tmp_path / "x.db")[0]
    run = lab.storage.read_run(tmp_path / "x.db")
    assert (
        (run.traces[0].dropped, run.traces[0].counts)
        == (trace.dropped, trace.counts)
        == (5, {"tries": 2, "fits": 1})
    )
    run.to_dataset().to_parquet(tmp_path / "run.parquet")
    back = lab.storage.Run.from_dataset(Dataset.from_parquet(str(tmp_path / "run.parquet")))
    assert (
        back.traces == run.traces == lab.storage.read_run(run.save(tmp_path / "run.jsonl")).traces
    )
    older = run.to_dataset().remove_columns(["dropped", "counts"])
    assert lab.storage.Run.from_dataset(older).traces[0].counts == {}
    plain = packed(lab.force(engine, QUESTION, lab.Budget(max_tokens=3)))
    assert not {"dropped", "counts"} & set(plain)  # what readers of the first runs know
    assert trace.fork(None, lab.Budget()).counts is not trace.counts


CALLS = {
    "tcc": lambda e, q, **o: lab.methods.token_conditional(e, q, 8, force=True, **o),
    "ccc": lambda e, q, **o: lab.methods.class_conditional(e, q, "long", **o),
    "reject": lambda e, q, **o: lab.methods.reject(e, q, 12, tries=3, seed=4, **o),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_asks_nothing_and_a_replay_needs_no_model(scripted, tmp_path, name):
    def seen(traces):
        return [(t.ids, t.source, t.cut, t.answer, t.dropped, t.counts) for t in traces]

    questions = [f"How many {c} in raspberry?" for c in "rasp"]
    first, second = (scripted(thinker("1 r 1\n2 a 1\n")) for _ in range(2))
    want = seen(CALLS[name](first, questions, store=tmp_path / "x.db"))
    assert (
        seen(CALLS[name](second, questions, store=tmp_path / "x.db")) == want
        and not second.requests
    )
    with lab.replay(tmp_path / "x.db") as engine:
        assert seen(CALLS[name](engine, questions)) == want


KILLED = """
import sys
import s1lab as lab
engine = lab.load("s1-tiny", max_batch=4)
print("ready", flush=True)
questions = list(lab.tiny.problems(16, 12, "dev")["question"])
options = {"tries": 3, "seed": 5, "store": sys.argv[1], "progress": False}
traces = lab.methods.reject(engine, questions, 40, **options)
print([(t.ids, t.dropped, t.counts) for t in traces])
"""


@pytest.mark.long
def test_a_rejection_killed_in_the_middle_goes_on_to_the_same_results(tmp_path):
    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout.readline() == "ready\n"
        return process

    whole = start(tmp_path / "whole.db").communicate()[0]
    process, path = start(tmp_path / "killed.db"), tmp_path / "killed.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and held(path) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = held(path)
    assert kept >= 5 and start(path).communicate()[0] == whole
    assert list(lab.runs(path).reused)[-1] >= kept and list(lab.runs(path).status)[-1] == "finished"


def held(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM completions").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet, or without tables
        return 0


def test_ctrl_c_keeps_what_was_finished(scripted):
    engine = scripted(ctrl_c_at(6, thinker("1 r 1\n")))
    engine.width = 1
    with pytest.raises(lab.Interrupted):
        lab.methods.reject(engine, [f"question {n}?" for n in range(5)], 30)
    traces = lab.interrupted()
    assert len(traces) == 5 and [t.error is None for t in traces] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_traces_of_any_call_are_graded(scripted):
    problems = Dataset.from_list(
        [{"question": f"How many {c} in x?", "answer": "3", "kind": "integer"} for c in "ab"]
    )
    engine = scripted(thinker("1 r 1\n"))
    found = lab.Results.of(
        problems, lab.methods.token_conditional(engine, list(problems["question"]), 8)
    )
    assert found.accuracy == 100 and len(found.rows) == 2 and found.thinking_tokens > 0
    twice = lab.Results.of(
        problems, lab.force(engine, [q for q in problems["question"] for _ in range(2)])
    )
    assert len(twice.traces) == 4 and len(twice.rows) == 2
    with pytest.raises(ValueError, match="3 traces"):
        lab.Results.of(problems, twice.traces[:3])


def test_rows_in_each_format(template):
    from s1lab import sft

    rows = Dataset.from_list(
        [
            {
                "question": "How many r?",
                "thinking": "1 r 1\n2 a 1\n3 s 1\n",
                "attempt": "Answer: 1",
            },
            {"question": "How many a?", "thinking": "1 r 0\n", "attempt": "Answer: 0"},
            {
                "question": "How many s?",
                "thinking": "1 r 0\n\n2 a 0\n\n\n3 s 1",
                "attempt": "Answer: 1",
            },
        ]
    )
    tokens = sft.formats.token_conditional(rows, template)
    for row, thinking in zip(tokens, rows["thinking"], strict=True):
        n, length = (
            int(row["prompt"].split("up to ")[1].split(" ")[0]),
            len(template.encode(thinking.strip())),
        )
        assert f"?\n\nThink for up to {n} tokens.<|im_end|>" in row["prompt"]
        assert length <= n < 2 * length and n & (n - 1) == 0 and row["format"] == "tcc"
        assert row["completion"].startswith(THINK + thinking)
    steps = sft.formats.step_conditional(rows, template, separator="\n")
    assert steps[0]["completion"] == (
        "<|im_start|>4 steps left\n1 r 1\n<|im_start|>3 steps left\n2 a 1\n"
        "<|im_start|>2 steps left\n3 s 1\n"
        "<|im_start|>answer\nAnswer: 1<|im_end|>\n"
    )
    plain = sft.formats.step_conditional(rows, template, separator="\n", rows="plain")
    assert plain[0]["completion"] + "\n" == steps[0]["completion"]
    assert "Think for up to 1 steps." in steps[1]["prompt"] and steps["format"] == ["scc"] * 3
    paragraphs = sft.formats.step_conditional(rows, template)
    assert "How many r?\n\nThink for up to 4 steps.<|im_end|>" in steps[0]["prompt"]
    assert [c.count("steps left") for c in paragraphs["completion"]] == [1, 1, 3]
    classes = sft.formats.class_conditional(Dataset.from_list([rows[0], rows[1]] * 3), template)
    assert [("short amount" in p, "long amount" in p) for p in classes["prompt"]] == [
        (False, True), (True, False), (False, True), (True, False), (False, False), (False, False)
    ]  # fmt: skip


@pytest.mark.long
def test_a_trained_format_is_written_into_the_config_and_read_from_it(template, tmp_path):
    from s1lab import sft
    from s1lab.engines.model_files import formats_of

    rows = Dataset.from_list(
        [{"question": "How many r?", "thinking": "1 r 1\n", "attempt": "Answer: 1"}] * 2
    )
    recipe = sft.recipe("tiny").but(epochs=1, batch=2, per_device=2)
    trained = sft.train(
        "s1-tiny-base",
        sft.formats.token_conditional(rows, template),
        recipe,
        out=tmp_path / "x",
        progress=False,
    )
    assert (
        formats_of(str(trained.path)) == ("tcc",)
        and formats_of("s1-tiny") == ()
        and formats_of("no such") is None
    )
    with lab.load(str(trained.path)) as engine, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lab.methods.token_conditional(engine, "How many r?", 8, force=True).error is None


@pytest.mark.parametrize("name", ["TCC", "TCC + BF", "SCC", "SCC + BF", "CCC", "BF"])
def test_the_papers_runs_give_the_papers_scaling_and_performance(name):
    runs, row = lab.paper.TABLE_3_RUNS[name], lab.paper.TABLE_3[name]
    accuracy = [lab.paper.exact(p.accuracy, "AIME24") for p in runs]
    assert (
        round(lab.metrics.scaling([p.tokens for p in runs], accuracy)) == row.scaling
        and len(runs) == row.runs
    )
    assert round(lab.metrics.performance(accuracy), 1) == row.performance


VARIANTS = Path(lab.tiny.__file__).parent


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tcc", "scc", "ccc"])
def test_an_embedded_variant_is_small_says_what_it_is_for_and_does_what_its_record_says(kind):
    import json

    from s1lab.engines.model_files import formats_of
    from tools.tiny.card import variant_card
    from tools.tiny.variants import CAP

    folder, made = (
        VARIANTS / f"s1-tiny-{kind}",
        json.loads((VARIANTS / "variants.json").read_text())[kind],
    )
    assert sum(f.stat().st_size for f in folder.iterdir()) < 2e6 and formats_of(
        f"s1-tiny-{kind}"
    ) == (kind,)
    assert (folder / "README.md").read_text(encoding="utf-8") == variant_card(kind, made)
    assert made["measured"]["split"] == "test" and made["trained"]["rows"] == 1000
    row, n = made["measured"]["runs"][1], 60
    problems = lab.tiny.benchmark().select(range(n))
    calls = {
        "tcc": lab.methods.token_conditional,
        "scc": lab.methods.step_conditional,
        "ccc": lab.methods.class_conditional,
    }
    with lab.load(f"s1-tiny-{kind}") as engine, warnings.catch_warnings():
        warnings.simplefilter("error")  # it is trained for it: nothing to warn of
        assert str(engine.dtype) == "torch.float32"
        found = lab.Results.of(
            problems,
            calls[kind](engine, list(problems["question"]), row["asked"], CAP, progress=False),
        )
    recorded = [float(c) for c in row["correct"][:n]]
    assert (
        sum(a != b for a, b in zip(found.correct, recorded, strict=True)) <= 2
    )  # another processor may turn an answer
