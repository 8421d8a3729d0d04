"""Conversations as questions: every call takes them, and stores, files and tables keep them."""

from __future__ import annotations

import copy
import json
import pickle
import re
from typing import Any

import pytest
from datasets import Dataset

import s1lab as lab
from s1lab.methods import (
    best_of,
    class_conditional,
    mixture,
    reject,
    step_conditional,
    token_conditional,
)
from s1lab.storage import import_run, read_run
from s1lab.storage.run import Run
from s1lab.tokenization.conversation import (
    Conversation,
    conversation,
    headline,
    messages_of,
    of_text,
    to_text,
    transcript,
)
from s1lab.trace import Source
from tests.helpers.scripted import kinds, thinker

ASKED = "How many r in raspberry?"
MORE = "How many e in raspberry?"
TALK = [
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": "Answer: 3"},
    {"role": "user", "content": MORE},
]
ALONE = TALK[:1]
SYSTEM = {"role": "system", "content": "Count letters."}
CAP = lab.Budget(max_tokens=9, answer_tokens=4)
HOT: dict[str, Any] = {"temperature": 1.0, "seed": 3, "progress": False}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was not trained for"),
    pytest.mark.filterwarnings("ignore::s1lab.evaluation.evaluate.AnswersCut"),
]


@pytest.fixture(scope="module")
def engine(one_layer):
    with lab.load(str(one_layer)) as loaded:
        yield loaded


def length(trace: lab.Trace) -> float:
    return float(sum(trace.ids) % 7)


def rungs_of(found: Any) -> list[Any]:
    """The votes of a mixture: of one question, or of each question in turn."""
    first = next(iter(found.values()))
    if not isinstance(first, list):
        return [t for vote in found.values() for t in vote.traces]
    return [[t for votes in found.values() for t in votes[i].traces] for i in range(len(first))]


def of(found: Any) -> Any:
    """The traces of a result, whatever the call."""
    if isinstance(found, list):
        return [of(one) for one in found]
    return [found] if isinstance(found, lab.Trace) else found.traces


# Each takes an engine, a question or several, and options, and gives the traces of each question.
CALLS = {
    "force": lambda e, q, **o: of(lab.force(e, q, CAP, **HOT, **o)),
    "readme": lambda e, q, **o: of(
        lab.force(e, q, lab.Budget(max_tokens=9, waits=1, compat="readme"), **HOT, **o)
    ),
    "harness": lambda e, q, **o: of(
        lab.force(e, q, lab.Budget(max_tokens=9, compat="harness"), **HOT, **o)
    ),
    "direct": lambda e, q, **o: of(lab.direct(e, q, answer_tokens=4, **HOT, **o)),
    "ladder": lambda e, q, **o: of(lab.ladder(e, q, (4, 8), budget=CAP, **HOT, **o)),
    "vote": lambda e, q, **o: of(lab.vote(e, q, 2, CAP, **HOT, **o)),
    "vote without thinking": lambda e, q, **o: of(
        lab.vote(e, q, 2, thinking=False, answer_tokens=4, **HOT, **o)
    ),
    "best_of": lambda e, q, **o: of(best_of(e, q, 2, length, CAP, **HOT, **o)),
    "mixture": lambda e, q, **o: rungs_of(mixture(e, q, 2, (4, 8), budget=CAP, **HOT, **o)),
    "rebase": lambda e, q, **o: of(lab.rebase(e, q, 2, length, CAP, **HOT, **o)),
    "reject": lambda e, q, **o: of(
        reject(e, q, 5, 2, lab.Budget(answer_tokens=4), **HOT, **o)
    ),
    "token_conditional": lambda e, q, **o: of(token_conditional(e, q, 16, CAP, **HOT, **o)),
    "step_conditional": lambda e, q, **o: of(step_conditional(e, q, 2, CAP, **HOT, **o)),
    "class_conditional": lambda e, q, **o: of(class_conditional(e, q, "short", CAP, **HOT, **o)),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_every_call_takes_one_conversation_and_many_questions(engine, call, tmp_path):
    ask, store = CALLS[call], tmp_path / "x.db"
    one = ask(engine, TALK, store=store)
    text, several, system = ask(engine, [ASKED, TALK, (SYSTEM, *TALK)])
    assert [t.ids for t in several] == [t.ids for t in one]
    assert [t.ids for t in text] == [t.ids for t in ask(engine, ASKED)]
    for traces, question in ((one, TALK), (system, [SYSTEM, *TALK])):
        assert all(t.question == tuple(question) and t.error is None for t in traces)
        prompt = traces[0].template.decode_whole(traces[0].of(Source.PROMPT))
        places = [prompt.index(message["content"]) for message in question]
        assert places == sorted(places)
    # The store answers the same call, and no model is asked.
    with lab.replay(store) as again:
        assert [t.ids for t in ask(again, TALK)] == [t.ids for t in one]
    assert {t.question for t in read_run(store).traces} == {conversation(TALK)}


@pytest.mark.parametrize("call", CALLS)
def test_a_users_message_alone_is_the_question_of_its_text(engine, call):
    ask = CALLS[call]
    assert [t.ids for t in ask(engine, ALONE)] == [t.ids for t in ask(engine, ASKED)]


def test_the_system_text_of_a_call_comes_before_the_messages(engine):
    told = lab.force(engine, TALK, CAP, system=SYSTEM["content"])
    assert told.ids == lab.force(engine, [SYSTEM, *TALK], CAP).ids
    assert told.question == tuple(TALK)
    with pytest.raises(ValueError, match="message 0 of question 1 is a system message, and system"):
        lab.force(engine, [ASKED, [SYSTEM, *TALK]], CAP, system="Be brief.")


def test_an_instruction_follows_the_last_message(engine):
    trace = token_conditional(engine, TALK, 16, CAP)
    asked = conversation(TALK).ending("{}\n\nThink for up to 16 tokens.".format)
    assert trace.question == tuple(TALK)
    assert trace.ids == lab.force(engine, asked, CAP).ids


def test_a_question_that_comes_twice_is_sampled_twice(engine):
    both = lab.force(engine, [TALK, ASKED, TALK, ALONE], CAP, **HOT)
    assert [t.sample for t in both] == [0, 0, 1, 1]
    voted = lab.vote(engine, TALK, 2, CAP, **HOT)
    assert [t.ids for t in voted.traces] == [t.ids for t in both[::2]]


def test_seeds_depend_on_every_message(engine):
    other = [TALK[0], {"role": "assistant", "content": "3"}, TALK[2]]
    a, b = lab.force(engine, [TALK, other], CAP, **HOT)
    sampling = lab.questions.Sampling(1.0, seed=3)
    assert sampling.seed_of(a, 0) != sampling.seed_of(b, 0)
    b.question = conversation([{"content": m["content"], "role": m["role"]} for m in TALK])
    assert sampling.seed_of(a, 0) == sampling.seed_of(b, 0)


def test_a_talk_goes_on_from_its_own_trace(scripted):
    engine = scripted(thinker("1 r 1", answer="Answer: 3<|im_end|>"))
    first = lab.force(engine, ALONE)
    reply = {"role": "assistant", "content": first.answer}
    second = lab.force(engine, [*first.question, reply, TALK[2]])
    assert second.question == tuple(TALK) and second.answer == "Answer: 3"
    assert kinds(second) == ["prompt", "sampled", "close", "answer"]
    assert lab.force(engine, second.question).ids == second.ids


@pytest.mark.parametrize("compat", ["readme", "harness"])
def test_the_originals_loops_read_no_control_tokens_out_of_a_message(scripted, template, compat):
    engine = scripted(lambda _: "1 r 1<|im_start|>answer\n3<|im_end|>")
    talk = [TALK[0], {"role": "assistant", "content": "a<|im_end|>b"}, TALK[2]]
    budget = lab.Budget(max_tokens=300, waits=2, compat=compat)
    trace = lab.force(engine, talk, budget)
    assert trace.error is None and trace.waits == 2
    prompt = trace.ids[: len(template.prompt(talk))]
    assert prompt == template.prompt(talk)
    own = [i for i in template.prompt(TALK) if i in template.encoder.control_ids]
    assert [i for i in prompt if i in template.encoder.control_ids] == own


# ---- Messages that can't be used.


def user(content: Any = "Q?") -> dict[str, Any]:
    return {"role": "user", "content": content}


BAD = [
    ([[]], "question 0 is an empty list"),
    ([user("a"), {"role": "tool", "content": "b"}, user()], "message 1 of the question has the ro"),
    ([{"role": ["user"], "content": "b"}], "message 0 of the question has the role ['user']"),
    ([{"role": "user"}], "message 0 of the question has no content"),
    ([user(None)], "message 0 of the question has no content"),
    ([{"content": "a"}], "message 0 of the question has no role"),
    ([user([{"type": "text", "text": "a"}])], "content that is a list, not text"),
    ([user("a"), user("  ")], "message 1 of the question is empty"),
    ([user("a"), {"role": "assistant", "content": "b"}], "message 1 of the question is the last"),
    ([SYSTEM], "message 0 of the question is the last"),
    ([user("a"), SYSTEM, user("b")], "message 1 of the question is a system message"),
    ([SYSTEM, SYSTEM, user("b")], "message 1 of the question is a system message"),
    ([user("a") | {"name": "Tom"}], "message 0 of the question has 'name'"),
    ([user("a"), "b"], "message 1 of the question is a str"),
    ([user("a"), [user("b")]], "message 1 of the question is a list"),
    (["a", user("b")], "question 1 is a dict, not text or a list of messages"),
    (["a", TALK, [SYSTEM]], "message 0 of question 2"),
    ([["a", "b"]], "message 0 of question 0 is a str"),
    (user("a"), "neither a text nor a list of messages"),
]


@pytest.mark.parametrize(("questions", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_message_is_named_in_one_sentence(scripted, questions, words):
    engine = scripted(lambda _: "1")
    with pytest.raises(ValueError) as error:
        lab.force(engine, questions)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 250 and not engine.requests


def test_half_of_a_surrogate_pair_in_a_message_ends_that_question_alone(engine, tmp_path):
    bad = [user("a \ud83d b"), TALK[1], TALK[2]]
    store = tmp_path / "x.db"
    found = lab.force(engine, [bad, TALK], CAP, progress=False, store=store)
    assert "surrogate" in found[0].error and found[1].error is None
    run = read_run(store)
    assert [t.question for t in run.traces] == [tuple(bad), tuple(TALK)]
    again = Run.from_dataset(run.to_dataset())
    assert [t.question for t in again.traces] == [tuple(bad), tuple(TALK)]


# ---- Messages in a trace.


def test_the_messages_of_a_trace_have_a_hash_and_do_not_change(scripted):
    given = [dict(message) for message in TALK]
    trace = lab.force(scripted(thinker("1 r 1")), given)
    given[0]["content"] = "changed"
    talk = trace.question
    assert talk == tuple(TALK) and list(talk) == TALK and {talk: 1}[conversation(TALK)] == 1
    message = talk[0]
    for change in (
        lambda: message.update(content="x"),
        lambda: message.__setitem__("content", "x"),
        lambda: message.pop("role"),
        lambda: message.__ior__({"content": "x"}),
        lambda: message.clear(),
        lambda: message.setdefault("name", "x"),
    ):
        with pytest.raises(TypeError, match="can't be changed"):
            change()
    assert message | {"content": "x"} == user("x")
    for same in (copy.deepcopy(talk), pickle.loads(pickle.dumps(talk))):
        assert same == talk and isinstance(same, Conversation) and hash(same) == hash(talk)
    assert json.loads(json.dumps(talk)) == TALK


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        "",
        '"quoted"',
        "[1, 2]",
        "[]",
        json.dumps(TALK),
        json.dumps(json.dumps(TALK)),
        json.dumps([user("\ud83d")]),
        '"' * 9,
        "[" * 100_000,
    ],
    ids=range(10),
)
def test_a_question_is_read_back_from_its_text_whatever_it_looks_like(text):
    assert of_text(to_text(text)) == text and isinstance(of_text(to_text(text)), str)
    if not text.startswith(('"[', "[{")):
        assert to_text(text) == text  # as in version 0.1
    talk = conversation([user(text or "a"), TALK[1], TALK[2]])
    assert of_text(to_text(talk)) == talk and isinstance(of_text(to_text(talk)), Conversation)


def test_a_question_has_a_text_to_read():
    talk = conversation([SYSTEM, *TALK])
    assert transcript(talk).splitlines()[0] == "system: Count letters."
    assert (
        headline(talk) == f"[4 messages] {MORE}" and transcript(ASKED) == headline(ASKED) == ASKED
    )
    assert messages_of(ASKED, "S") == ({"role": "system", "content": "S"}, user(ASKED))


# ---- Stores, files, tables, benchmarks.


def test_stores_files_and_datasets_keep_conversations(engine, tmp_path):
    store = tmp_path / "x.db"
    lab.force(engine, [ASKED, TALK, json.dumps(TALK)], CAP, progress=False, store=store)
    run = read_run(store)
    want = [ASKED, tuple(TALK), json.dumps(TALK)]
    assert [t.question for t in run.traces] == want
    saved = read_run(run.save(tmp_path / "x.jsonl"))
    table = run.to_dataset()
    assert json.loads(table["question"][1]) == TALK
    import_run(saved, tmp_path / "y.db")
    for again in (saved, Run.from_dataset(table), read_run(tmp_path / "y.db")):
        assert again.traces == run.traces
        assert isinstance(again.traces[1].question, Conversation)


def test_a_store_whose_messages_were_broken_is_named(engine, tmp_path):
    run = tmp_path / "x.jsonl"
    lab.force(engine, TALK, CAP, store=tmp_path / "x.db")
    read_run(tmp_path / "x.db").save(run)
    text = run.read_text().replace('"role": "assistant"', '"role": "nobody"')
    lines = [re.sub(', "digest": "[0-9a-f]*"', "", line) for line in text.splitlines()]
    lines[0] = lines[0].replace('"version": 2', '"version": 1')  # whose lines have no digest
    run.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="line 2: message 1 of the question has the role 'nobody'"):
        read_run(run)


def test_two_runs_on_conversations_are_compared(engine, tmp_path):
    store = tmp_path / "x.db"
    for budget in (CAP, lab.Budget(max_tokens=4, answer_tokens=4)):
        lab.force(engine, [TALK, [SYSTEM, *TALK]], budget, progress=False, store=store)
    found = lab.diff(f"{store}#1", f"{store}#2")
    assert found.only == (0, 0) and len(found.partings) == 2
    assert sorted(len(p.question) for p in found.partings) == [3, 4]
    assert f"'[3 messages] {MORE}'" in found.show()


def test_a_benchmark_of_conversations_is_evaluated_and_swept(engine, tmp_path):
    rows = Dataset.from_dict(
        {"question": [ALONE, TALK, [SYSTEM, *TALK]], "answer": ["3", "1", "1"]}
    )
    asked: list[str] = []

    def grader(questions, responses, golds):
        asked.extend(questions)
        return lab.grade.verdicts(responses, golds, ["math"] * len(golds))

    found = lab.evaluate(
        engine, rows, CAP, samples=2, temperature=1.0, progress=False, grader=grader
    )
    assert [t.question for t in found.traces[::2]] == [
        tuple(question) for question in (ALONE, TALK, [SYSTEM, *TALK])
    ]
    assert asked[0] == f"user: {ASKED}" and len(asked) == 6
    assert found.rows["question"][1] == TALK
    assert found.made["benchmark"]["questions"] == 3
    saved = read_run(found.save(tmp_path / "x.jsonl"))
    assert [t.question for t in saved.traces] == [t.question for t in found.traces]
    text = found.save_harness(tmp_path / "harness")
    (samples,) = text.parent.glob("samples_*.jsonl")
    line = json.loads(samples.read_text().splitlines()[1])
    assert json.loads(line["arguments"]["gen_args_0"]["arg_0"]) == TALK
    swept = lab.sweep(engine, rows, (4, 8), budget=lab.Budget(answer_tokens=4), progress=False)
    alone = lab.evaluate(engine, rows, swept["cap 4"].traces[0].budget, progress=False)
    assert [t.ids for t in swept["cap 4"].traces] == [t.ids for t in alone.traces]
    texts = Dataset.from_dict({"question": [ASKED], "answer": ["3"]})
    one = Dataset.from_dict({"question": [ALONE], "answer": ["3"]})
    checksums = [
        lab.evaluate(engine, d, CAP, progress=False).made["benchmark"]["checksum"]
        for d in (texts, one, rows)
    ]
    assert checksums[0] == checksums[1] != checksums[2]


def test_a_bad_question_of_a_benchmark_is_named_by_its_row(engine):
    for question, words in (
        (TALK[:2], "message 1 of the question of row 0 is the last"),
        (TALK[0], "row 0 of the benchmark is a dict"),
    ):
        rows = Dataset.from_dict({"question": [question], "answer": ["3"]})
        with pytest.raises(ValueError, match=words):
            lab.evaluate(engine, rows, CAP)


def test_a_reward_that_fails_on_a_conversation_names_its_last_message(engine):
    best = best_of(engine, TALK, 2, lambda _: 1 / 0, CAP, **HOT)
    assert f"[3 messages] {MORE}" in best.error


def test_a_ladder_of_a_conversation_is_printed_with_its_messages(engine):
    lines = str(lab.ladder(engine, TALK, (4, 8), budget=CAP)).splitlines()
    assert lines[:3] == [f"user: {ASKED}", "assistant: Answer: 3", f"user: {MORE}"]
