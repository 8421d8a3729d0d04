"""A delimiter of several tokens is suppressed, closed and counted like one of a single token, by
every method.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.forcing import goes_on
from s1lab.methods.ladder import rungs_of
from s1lab.template import ThinkTemplate
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import BoundTemplate, bind
from s1lab.trace import Source
from s1lab.widgets.streaming import stream
from tests.helpers.scripted import Scripted, same

TOKENS = ("<|a|>", "<|b|>", "<|c|>", "<|d|>", "<|e|>")
# By their number of tokens. The last one is of ordinary letters, of which some are frequent in what
# the models below write.
ENDS = {
    "one": "<|a|>",
    "two": "<|a|><|b|>",
    "five": "<|a|><|b|>answer<|d|><|e|>",
    "letters": "</y>",
    "line": "\nso y:\n",
}


def template(end: str, *more: str, newline: bool = True) -> BoundTemplate:
    tokenizer = build()
    tokenizer.add_tokens(
        [AddedToken(t, special=True, normalized=False) for t in TOKENS], special_tokens=True
    )
    made = ThinkTemplate("<|im_start|>think\n", (end, *more), end + "\n", newline=newline)
    return bind(made, tokenizer, {tokenizer.eos_token_id})


TEMPLATES = {name: template(end) for name, end in ENDS.items()}
TEMPLATES["either"] = template(ENDS["five"], ENDS["letters"])


class Dreaming(Scripted):
    """A model that writes by chance, a token at a time.

    What follows depends on the ids before it, and above temperature 0 on the seed. Often it begins
    a delimiter, and then it mostly goes on with it.
    """

    def __init__(self, template: BoundTemplate, salt: int, context: int = 400) -> None:
        super().__init__(template, lambda _: "", context)
        self.salt = salt
        self.ways = [way for d in template.delimiters for way in d.ways[:2]]
        self.ways += [(i,) for i in template.think_stop - template.last_ids]
        self.common = template.encode("1 2 3 a<>/\nyso: ") + template.encode("".join(TOKENS))

    def next(self, ids: list[int], chance: random.Random, barred: frozenset[int]) -> int:
        going = [
            w[n] for w in self.ways for n in range(1, len(w)) if tuple(ids[len(ids) - n :]) == w[:n]
        ]
        while True:
            roll = chance.random()
            if going and roll < 0.6:
                token = chance.choice(going)
            elif roll < 0.75:
                token = chance.choice(self.ways)[0]
            else:
                token = chance.choice(self.common)
            if token not in barred:
                return token
            going = []

    def submit(self, key: int, request: Request) -> None:
        self.requests.append(request)
        assert request.max_tokens >= 1 and len(request.ids) + request.max_tokens <= self.context
        ids, written = list(request.ids), list[int]()
        while len(written) < request.max_tokens:
            drawn = f"{request.seed} {len(written)}" if request.temperature else ""
            seed = f"{self.salt} {ids[-12:]} {len(ids)} {drawn}"
            chance = random.Random(hashlib.sha256(seed.encode()).digest())
            token = self.next(
                ids, chance, request.stop if len(written) < request.min_tokens else frozenset()
            )
            if token in request.stop:
                self._done.append((key, Completion(tuple(written), token)))
                return
            ids.append(token)
            written.append(token)
        self._done.append((key, Completion(tuple(written))))


def holds(trace: lab.Trace, engine: Dreaming, cap: int | None) -> None:
    """What is so of every run."""
    assert trace.error is None and len(trace.ids) == len(trace.source) <= engine.context
    assert trace.sampled_tokens + trace.forced_tokens + trace.source.count(Source.PROMPT) == len(
        trace.ids
    )
    assert cap is None or trace.thinking_tokens <= cap
    assert trace.stops == sorted(trace.stops)
    # No round has a delimiter in its text. (Two of them have nothing between them where a
    # suppression appends no text.)
    places = (
        [*trace.stops, len(trace.ids) - trace.source[::-1].index(Source.SAMPLED)]
        if Source.SAMPLED in trace.source
        else []
    )
    for start, end in zip([0, *places], places, strict=False):
        wrote = [
            i
            for i, s in zip(trace.ids[start:end], trace.source[start:end], strict=True)
            if s is Source.SAMPLED
        ]
        assert not any(
            mark in trace.template.decode(wrote) for mark in trace.template.template.ends
        )


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(list(TEMPLATES)),
    salt=st.integers(0, 2**32),
    wait=st.sampled_from(["Wait", None, ("Wait", None), "</"]),
    floor=st.sampled_from([0, 0, 12]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_each_rung_of_a_ladder_is_its_own_run(name, salt, wait, floor, temperature):
    bound, question = TEMPLATES[name], "How many r?"
    shared = lab.Budget(min_tokens=floor, wait=wait, answer_tokens=3)
    rng = random.Random(salt)
    caps = sorted({*rng.sample(range(max(1, floor), 60), 5), *range(12, 16)})
    waits = [0, 1, 3]
    options = {"temperature": temperature, "seed": 5}
    found = lab.ladder(Dreaming(bound, salt), question, caps, waits, budget=shared, **options)
    for rung, budget in zip(found.traces, rungs_of(shared, caps, waits), strict=True):
        engine = Dreaming(bound, salt)
        alone = lab.force(engine, question, budget, **options)
        assert same(rung, alone)
        holds(alone, engine, budget.max_tokens)


def test_the_random_models_reach_each_case():
    """Else the test above could pass by never seeing what it is about."""
    seen = {name: set() for name in TEMPLATES}
    for name, bound in TEMPLATES.items():
        for salt in range(120):
            engine = Dreaming(bound, salt)
            cap = 3 + salt % 20
            trace = lab.force(
                engine, "How many r?", lab.Budget(max_tokens=cap, waits=1, answer_tokens=3)
            )
            seen[name] |= {"cut" if trace.cut else "own stop"} | (
                {"wait"} if trace.waits else set()
            )
            stops_as_text = bound.last_ids & set(trace.of(Source.SAMPLED))
            seen[name] |= {"text that looked like a delimiter"} if stops_as_text else set()
            seen[name] |= (
                {"cut within a delimiter"} if trace.cut and trace.thinking_tokens < cap else set()
            )
    assert all(
        {"cut", "own stop", "wait"} <= kinds
        for name, kinds in seen.items()
        if name not in ("one", "two")
    )
    assert all({"cut", "own stop", "wait"} <= kinds for kinds in seen.values())
    assert all(
        "text that looked like a delimiter" in seen[n] for n in ("two", "five", "letters", "line")
    )
    assert all("cut within a delimiter" in seen[n] for n in ("two", "five", "letters", "line"))


# ---- The same script in delimiters of one token and of several: the same thinking, Waits and
# counts.

QUESTION = "How many r in raspberry?"


def script(bound: BoundTemplate, *rounds: str):
    """A model that thinks ``rounds``, one after each Wait, ends them with its delimiter, and
    answers.
    """
    end, opening = bound.template.ends[0], bound.template.open

    def say(text: str) -> str:
        behind = text.split(QUESTION)[1].partition(opening.rstrip("\n"))[2].removeprefix("\n")
        if bound.template.close.rstrip("\n") in behind:
            return " 3<|im_end|>"
        thought = behind.split("Wait")
        here = rounds[min(len(thought), len(rounds)) - 1] + end
        assert here.startswith(thought[-1]), (here, thought)
        return here[len(thought[-1]) :] + "\n 3<|im_end|>"

    return Scripted(bound, say)


CALLS = {
    "own stop": lambda e: lab.force(e, QUESTION),
    "two waits": lambda e: lab.force(e, QUESTION, lab.Budget(waits=2)),
    "floor": lambda e: lab.force(e, QUESTION, lab.Budget(min_tokens=14)),
    "cut": lambda e: lab.force(e, QUESTION, lab.Budget(max_tokens=5)),
    "readme": lambda e: lab.force(e, QUESTION, lab.Budget(waits=1, compat="readme")),
    "harness": lambda e: lab.force(e, QUESTION, lab.Budget(waits=1, compat="harness")),
    "reject": lambda e: lab.methods.reject(e, QUESTION, 6),
    "reject what is too long": lambda e: lab.methods.reject(e, QUESTION, 5, tries=2),
    "rebase": lambda e: lab.rebase(
        e, QUESTION, 2, lambda t: float(len(t.ids)), lab.Budget(waits=1)
    ).traces[0],
    "rebase in short steps": lambda e: lab.rebase(
        e, QUESTION, 1, lambda t: 1.0, lab.Budget(waits=1), step_tokens=3
    ).traces[0],
    "ladder": lambda e: lab.ladder(e, QUESTION, caps=(3,), waits=(1,)).at(waits=1),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["two", "five", "letters"])
def test_a_delimiter_of_several_tokens_counts_like_one(name, call):
    rounds = ("1 r 1\n", "\n2 a 1\n")
    one, several = (CALLS[call](script(TEMPLATES[n], *rounds)) for n in ("one", name))
    assert several.error is None
    assert several.thinking == one.thinking and several.answer == one.answer
    for field in ("thinking_tokens", "waits", "cut", "stops", "counts", "answer_cut"):
        assert getattr(several, field) == getattr(one, field), field
    if (
        call == "reject what is too long"
    ):  # a try is given up as soon as it can't fit, which is later by the longer delimiter
        assert several.dropped >= one.dropped and several.cut
    else:
        assert several.dropped == one.dropped == 0
    close = len(TEMPLATES[name].close_ids(several.of(Source.SAMPLED))) - len(
        TEMPLATES["one"].close_ids(one.of(Source.SAMPLED))
    )
    assert several.forced_tokens - one.forced_tokens == (close if call != "readme" else 0)


@pytest.mark.parametrize("name", ["two", "five", "letters"])
def test_steps_begin_and_end_at_delimiters_of_several_tokens(name):
    """A step's header is the delimiter and a word; the answer's word ends the thinking."""
    found = []
    for mark in (ENDS["one"], ENDS[name]):
        tokenizer = TEMPLATES["one"].tokenizer
        steps = ThinkTemplate(f"{mark}think\n", (mark, "<|im_end|>"), f"{mark}answer\n")
        bound = bind(steps, tokenizer, {tokenizer.eos_token_id})
        whole = (
            "".join(f"{mark}{n} steps left\nstep\n" for n in (3, 2, 1))
            + f"{mark}answer\n 3<|im_end|>"
        )

        def say(text: str, whole=whole, mark=mark) -> str:
            return whole[len(text.split("assistant\n")[1]) :]

        engine = Scripted(bound, say)
        found.append(lab.methods.step_conditional(engine, QUESTION, 3))
    one, several = found
    assert one.error is several.error is None and one.answer == several.answer == "3"
    assert one.counts["steps"] == several.counts["steps"] == 3 and not several.cut
    longer = len(TEMPLATES["one"].encode(ENDS[name])) - 1
    assert (
        several.thinking_tokens == one.thinking_tokens + 2 * longer
    )  # a header is thinking, its delimiter with it
    assert several.counts["delimiter_tokens"] == one.counts["delimiter_tokens"] + 2 * longer


def test_after_a_suppression_no_delimiter_begins_at_once():
    """As with one token: else a suppression without text would be followed by the same stop for
    ever.
    """
    bound = TEMPLATES["five"]
    engine = Scripted(
        bound,
        lambda t: ENDS["five"] + "\n 3<|im_end|>" if ENDS["five"] not in t else " 3<|im_end|>",
    )
    trace = lab.force(engine, QUESTION, lab.Budget(min_tokens=20, wait=None))
    assert (
        trace.error is None
        and not trace.cut
        and trace.answer == "3"
        and trace.thinking_tokens >= 20
    )
    alone = [r for r in engine.requests if r.min_tokens]
    assert len(alone) == trace.waits and all(
        r.max_tokens == 1 and bound.first_ids <= r.stop for r in alone
    )
    assert not goes_on(
        trace, [], 0, lab.Budget(min_tokens=90, wait=None), 100
    )  # for the engine that writes it all the same
    assert goes_on(trace, [], 1, lab.Budget(min_tokens=90, wait=None), 100)


@pytest.mark.parametrize(("joined", "kept"), [("so<", "1 so<"), (" <", "1"), ("\n<", "1")])
def test_a_token_that_joins_a_word_with_the_delimiter_stays_in_the_thinking(joined, kept):
    """A trace has the ids that the model wrote, so a token is thrown away with the delimiter only
    if no word is in it.
    """
    tokenizer = build()
    tokenizer.add_tokens([AddedToken(joined, special=False, normalized=False)])
    made = ThinkTemplate("<|im_start|>think\n", ("</y>",), "</y>\n")
    bound = bind(made, tokenizer, {tokenizer.eos_token_id})
    script = f"1{' ' if joined == 'so<' else ''}{joined}/y>"
    assert bound.encode(script)[-4:] == bound.encode(joined) + bound.encode("/y>")
    trace = lab.force(
        Scripted(bound, lambda t: " 3<|im_end|>" if "</y>" in t else script + "<|im_end|>"),
        QUESTION,
    )
    assert trace.thinking == kept and not trace.cut and trace.answer == "3"
    assert trace.text.endswith(kept + "\n</y>\n 3")


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_stream_ends_in_the_trace_of_force(name, temperature):
    budget = lab.Budget(max_tokens=40, waits=1, answer_tokens=3)
    for salt in range(12):
        whole = lab.force(
            Dreaming(TEMPLATES[name], salt), QUESTION, budget, temperature=temperature, seed=2
        )
        *growing, last = stream(
            Dreaming(TEMPLATES[name], salt),
            QUESTION,
            budget,
            temperature=temperature,
            seed=2,
            every=4,
        )
        assert same(whole, last)
        lengths = [t.thinking_tokens for t in growing]
        assert max(lengths) >= last.thinking_tokens
        for trace in growing:
            n = min(len(trace.ids), len(whole.ids) - 20)
            assert trace.ids[:5] == whole.ids[:5] and n


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_tree_finds_a_delimiter_that_a_step_would_cut(name):
    for salt in range(40):
        engine = Dreaming(TEMPLATES[name], salt)
        options = {"step_tokens": 1 + salt % 5, "step": None if salt % 2 else "\n"}
        tree = lab.rebase(
            engine,
            QUESTION,
            2,
            lambda t: 1.0,
            lab.Budget(max_tokens=30, waits=1, answer_tokens=3),
            **options,
        )
        for trace in tree.traces:
            holds(trace, engine, 30)


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("compat", ["readme", "harness"])
def test_the_originals_loops_keep_their_ledger(name, compat):
    for salt in range(25):
        engine = Dreaming(TEMPLATES[name], salt)
        trace = lab.force(
            engine, QUESTION, lab.Budget(max_tokens=30, waits=2, compat=compat, answer_tokens=3)
        )
        assert trace.error is None and len(trace.ids) == len(trace.source)
        assert compat == "readme" or trace.thinking_tokens <= 31


def test_a_store_answers_for_each_piece(tmp_path):
    budget = lab.Budget(max_tokens=40, waits=1, answer_tokens=3)
    questions = [f"{n}?" for n in range(10)]
    for _ in range(2):
        engine = Dreaming(TEMPLATES["either"], 3)
        traces = lab.force(engine, questions, budget, store=tmp_path / "x.db", progress=False)
    assert not engine.requests
    with lab.replay(tmp_path / "x.db") as replayed:
        again = lab.force(replayed, questions, replace(budget), progress=False)
    assert [t.ids for t in again] == [t.ids for t in traces] and not any(t.error for t in again)
