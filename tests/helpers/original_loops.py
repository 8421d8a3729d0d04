"""Recorded cases of the original's two loops, and our programs played against them.

``fixtures/original_loops/README.md`` says what is recorded and how. ``python -m
tests.helpers.original_loops`` prints how many of them our programs repeat, as the table of
docs/from_original.md.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import s1lab as lab
from s1lab.driver import run
from s1lab.engine import Completion, Request
from s1lab.forcing import Sampling
from s1lab.methods import original_loops as compat
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import BoundTemplate, bind
from s1lab.trace import Source, Trace
from tests.helpers import FIXTURES

FOLDER = FIXTURES / "original_loops"
PROGRAMS = {"harness": compat.harness, "readme": compat.readme}
Case = dict[str, Any]


@cache
def written_out() -> list[Case]:
    """The cases that were written out by hand, each with what decides it in the original."""
    cases: list[Case] = json.loads((FOLDER / "cases.json").read_text())
    return cases


@cache
def recorded() -> list[Case]:
    """The cases recorded from the original's loops, over random scripts and over s1-tiny."""
    with gzip.open(FOLDER / "recorded.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@cache
def template(eos: tuple[int, ...]) -> BoundTemplate:
    # The original reads control tokens in its texts as such.
    return bind("s1", build(), set(eos), allow_special=True)


def budget(case: Case) -> lab.Budget:
    """A case's settings as a budget."""
    return lab.Budget(
        case["cap"], case["least"], case["ignores"], case["wait"], compat=case["loop"]
    )


class Player:
    """An engine that writes what the model wrote in a case, and says what else was asked for."""

    name = model = fingerprint = semantics = "player"
    width = 64

    def __init__(self, case: Case) -> None:
        self.context, self.template = case["context"], template(tuple(case["eos"]))
        self.wrong: list[str] = []
        self._done: list[tuple[int, Completion]] = []
        self._known: dict[tuple[tuple[int, ...], bool], dict[str, Any]] = {}
        for question in case["questions"]:
            for asked in question["rounds"]:
                self._known[tuple(asked["prompt"]), False] = asked
            self._known[tuple(question["fed"]), True] = question["answer"]

    def submit(self, key: int, request: Request) -> None:
        answers = request.stop == self.template.answer_stop
        known = self._known.get((request.ids, answers))
        if known is None:
            what, behind = (
                "an answer" if answers else "a round",
                self.template.decode(list(request.ids)),
            )
            self.wrong.append(f"{what} is asked behind {behind!r}, which the original does not ask")
            self._done.append((key, Completion((), error="not recorded")))
            return
        free = self.context - len(request.ids)
        # vLLM ends a completion at its context; our engines are not asked for more than fits.
        limits = (min(known.get("max_tokens", free), free), known.get("min_tokens", 0))
        if (request.max_tokens, request.min_tokens) != limits:
            self.wrong.append(
                f"at most {request.max_tokens} and at least {request.min_tokens} ids are asked "
                f"for, not {limits}"
            )
        self._done.append((key, Completion(tuple(known["ids"]), known["stop"])))

    def poll(self) -> list[tuple[int, Completion]]:
        done, self._done = (
            self._done[-1:],
            self._done[:-1],
        )  # the last first: no question may lean on its neighbours
        return done

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        gone = {key for key, _ in self._done if keys is None or key in set(keys)}
        dropped = {key: done for key, done in self._done if key in gone}
        self._done = [pair for pair in self._done if pair[0] not in gone]
        return dropped


def played(case: Case) -> tuple[list[Trace], list[str]]:
    """Our program's traces of a case, and each difference from the original as a sentence."""
    player, traces = Player(case), []
    for question in case["questions"]:
        trace = Trace("a question", player.template, budget(case))
        trace.extend(list(question["prompt"]), Source.PROMPT)
        traces.append(trace)
    program = PROGRAMS[case["loop"]]
    # type: ignore[arg-type]
    traces = run(player, [program(t, t.budget, Sampling(), player.context) for t in traces])
    wrong = list(player.wrong)
    for trace, question in zip(traces, case["questions"], strict=True):
        if trace.error:
            wrong.append(f"it ends in an error: {trace.error}")
        elif trace.ids != question["fed"] + question["answer"]["ids"]:
            fed = [
                i for i, s in zip(trace.ids, trace.source, strict=True) if s is not Source.ANSWER
            ]
            shown = [trace.template.decode(ids) for ids in (fed, question["fed"])]
            wrong.append(f"{shown[0]!r} is answered, where the original answers {shown[1]!r}")
    return traces, wrong


def setting(case: Case, question: dict[str, Any]) -> tuple[str, str, str, str]:
    """The row of the table of a question: loop, cap, stops to ignore, how the thinking ended."""
    loop = {"harness": "evaluator", "readme": "README"}[case["loop"]]
    cap = "auto" if case["cap"] is None else "given"
    ignores = "not given" if case["ignores"] is None else str(case["ignores"])
    if case.get("fails"):
        return loop, cap, ignores, "the original fails"
    rounds = question["rounds"]
    ended = "own stop" if rounds[-1]["stop"] is not None else "cut"
    if case["loop"] == "readme":
        return (
            loop,
            cap,
            ignores,
            f"{ended}, cap used up before" if len(rounds) <= case["ignores"] else ended,
        )
    thought = len(rounds[-1]["prompt"]) + len(rounds[-1]["ids"]) - len(rounds[0]["prompt"])
    return (
        loop,
        cap,
        ignores,
        f"{ended}, total over the cap" if thought > rounds[0]["max_tokens"] else ended,
    )


def table() -> str:
    """How many questions our programs answer behind exactly the ids of the original.

    Returns:
        A Markdown table, a row a setting.
    """
    tried: Counter[tuple[str, ...]] = Counter()
    equal: Counter[tuple[str, ...]] = Counter()
    for case in (*written_out(), *recorded()):
        # A batch is equal when all its questions are: only so is their order.
        right = not played(case)[1]
        for question in case["questions"]:
            row = setting(case, question)
            tried[row] += 1
            equal[row] += right
    lines = [
        "| loop | cap | stops to ignore | the thinking ends by | equal of tried |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(row)} | {equal[row]} of {tried[row]} |" for row in sorted(tried)]
    lines.append(f"| all | | | | {sum(equal.values())} of {sum(tried.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
