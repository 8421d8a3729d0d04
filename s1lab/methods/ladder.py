"""Ladders: a whole sweep of caps and Waits from one thinking pass for each question.

A sweep whose rungs run one by one writes the thinking of every rung. With T for thinking and A for
answers it writes sum(T_rung) + sum(A_rung) tokens. A ladder writes the longest thinking once, and
an answer where rungs differ: max(T_rung) + sum of A over rungs that end at different places. So it
saves most with many rungs and short answers.

Take the paper's own sweep on AIME24 (Figure 4 and the cap of 500: four caps, the own stop, 2, 4 and
6 Waits). One by one, its thinking is 500 + 1,000 + 2,003 + 3,935 + 5,304 + 6,642 + 7,305 + 8,459 =
35,148 tokens a question. A ladder's is 8,459: 4.2 times fewer, without answers. With about 690
tokens an answer (Table 12) on all eight rungs it is 40,668 against 13,979: 2.9 times fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from s1lab.api import one_or_many
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, Sampling
from s1lab.evaluation.calls import rising
from s1lab.forcing import answer, cut_short, goes_on, open_thinking, suppress, thinking
from s1lab.methods.costs import Cost, shared_cost
from s1lab.methods.fan_out import together
from s1lab.questions import Budgets, Options, Question, Questions, Storing
from s1lab.tokenization.conversation import Conversation, printable, transcript
from s1lab.trace import Source, Trace


@dataclass(frozen=True)
class Ladder:
    """The rungs of one question.

    Each is an ordinary Trace, token for token what `s1lab.force` gives for its budget.

    Attributes:
        question: The question, a text or a conversation.
        caps: The caps of the rungs, in the order of the call.
        waits: The numbers of Waits of the rungs, in the order of the call.
        traces: The traces of the rungs, those of the caps first.

    Example:
        rungs = lab.ladder(lab.load("s1-tiny"), "What is 2 + 3?", caps=(16, 64), waits=(1,))
        print(rungs.at(cap=16).answer, rungs.at(waits=1).answer)
    """

    question: str | Conversation
    caps: tuple[int, ...]
    waits: tuple[int, ...]
    traces: list[Trace] = field(repr=False)

    def at(self, *, cap: int | None = None, waits: int | None = None) -> Trace:
        """The trace of one rung: ``at(cap=512)`` or ``at(waits=2)``.

        Args:
            cap: The rung's cap.
            waits: The rung's number of Waits. Give this or a cap.

        Returns:
            The rung's trace.

        Raises:
            TypeError: Both are given, or neither.
            KeyError: The ladder has no such rung.
        """
        if (cap is None) == (waits is None):
            raise TypeError("name one rung: at(cap=512) or at(waits=2)")
        known, wanted = (self.caps, cap) if cap is not None else (self.waits, waits)
        if wanted not in known:
            name = "cap" if cap is not None else "waits"
            raise KeyError(
                f"{name}={wanted} is no rung of this ladder: "
                f"it has caps {self.caps} and waits {self.waits}"
            )
        return self.traces[known.index(wanted) + (0 if cap is not None else len(self.caps))]

    def items(self) -> Iterator[tuple[str, Trace]]:
        """Each rung's name and trace, in order: ("cap 16", …), ("own stop", …), ("2 Waits", …)."""
        return iter(zip(names(self.caps, self.waits), self.traces, strict=True))

    @property
    def error(self) -> str | None:
        """The first rung's error, if any has one."""
        return next((t.error for t in self.traces if t.error), None)

    @property
    def cost(self) -> Cost:
        """The tokens of all rungs together. What several rungs share was written once."""
        return shared_cost(self.traces)

    @property
    def written(self) -> int:
        """Ids that the model wrote for all rungs together.

        The longest thinking counts once, and so does each different answer.
        """
        longest = max(len(t.of(Source.SAMPLED)) for t in self.traces)
        return longest + sum(
            len(t.of(Source.ANSWER)) for t in {tuple(t.ids): t for t in self.traces}.values()
        )

    @property
    def alone(self) -> int:
        """Ids that the model would write for the rungs one by one."""
        return sum(t.sampled_tokens for t in self.traces)

    def __str__(self) -> str:
        lines = [transcript(self.question)]
        for name, trace in self.items():
            lines.append(
                f"{name:<9} {trace.thinking_tokens:>6} thinking tokens  "
                f"{trace.error or trace.answer}"
            )
        return printable("\n".join(lines))


def rung_name(*, cap: int | None = None, waits: int = 0) -> str:
    """The name of a rung in tables, figures and stores.

    Args:
        cap: The rung's cap; None for a rung of Waits.
        waits: The rung's number of Waits.

    Returns:
        "cap 16", "own stop" (no Wait), "1 Wait" or "2 Waits".
    """
    if cap is not None:
        return f"cap {cap}"
    return f"{waits} Wait{'s' * (waits > 1)}" if waits else "own stop"


# The card of the embedded model writes "waits 2".
_NAME = re.compile(r"cap (?P<cap>\d+)|(\d+) Waits?|waits (\d+)|own stop")


def named_rung(name: str) -> tuple[int | None, int] | None:
    """Read a rung's name, as `rung_name` and version 0.1 wrote it.

    Args:
        name: The name.

    Returns:
        The cap (None for a rung of Waits) and the number of Waits. None for any other text.
    """
    found = _NAME.fullmatch(name)
    if not found:
        return None
    cap, *waits = found.groups()
    return (int(cap), 0) if cap else (None, int(next(filter(None, waits), 0)))


def names(caps: Sequence[int], waits: Sequence[int]) -> list[str]:
    """The names of a ladder's rungs, those of the caps first."""
    return [rung_name(cap=c) for c in caps] + [rung_name(waits=n) for n in waits]


def rungs_of(budget: Budget, caps: Sequence[int], waits: Sequence[int]) -> list[Budget]:
    """The budget of each rung.

    Args:
        budget: What the rungs share.
        caps: The caps, rising.
        waits: The numbers of Waits, rising.

    Returns:
        ``budget`` with each cap, then ``budget`` with each number of Waits.

    Raises:
        ValueError: There is no rung, a rung is out of order or given twice, or no budget can hold
            it.
    """
    caps, waits = rising("caps", caps), rising("waits", waits)
    if not caps and not waits:
        raise ValueError(
            "caps and waits are empty: give at least one rung, such as caps=(16, 64, "
            "256) or waits=(0, 1, 2)"
        )
    if budget.compat != "exact":
        raise ValueError(
            f"compat={budget.compat!r} can't be laddered: "
            "under the original's loops a shorter run is no beginning of a longer "
            "one; run its rungs one by one with lab.force"
        )
    try:
        return [replace(budget, max_tokens=c) for c in caps] + [
            replace(budget, waits=n) for n in waits
        ]
    except ValueError as why:
        raise ValueError(f"a rung of the ladder can't be kept: {why}") from None


@one_or_many(Ladder, list[Ladder])
def ladder(
    engine: Engine,
    questions: Question | Iterable[Question],
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    *,
    budget: Budgets | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: Storing = None,
    progress: bool = True,
) -> Ladder | list[Ladder]:
    """Answer a whole sweep from one thinking pass for each question.

    There is a rung for each cap, and a rung for each number of Waits. A rung is the same alone and
    with any other rungs beside it, also when sampled: its tokens depend on (seed, question, sample,
    round) only.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        caps: The most thinking tokens of each rung, rising.
        waits: How many stops each rung suppresses, rising. 0 is the model's own stop.
        budget: What all rungs share (minimum, texts, answer length). ``caps`` replace its
            ``max_tokens``, and ``waits`` its ``waits``. One for all questions, or a list with one
            for each.
        temperature: As in `s1lab.force`.
        top_p: As in `s1lab.force`.
        top_k: As in `s1lab.force`.
        min_p: As in `s1lab.force`.
        repetition_penalty: As in `s1lab.force`.
        presence_penalty: As in `s1lab.force`.
        frequency_penalty: As in `s1lab.force`.
        seed: As in `s1lab.force`.
        answer_tokens: As in `s1lab.force`.
        answer_room: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        progress: As in `s1lab.force`.

    Returns:
        A Ladder for a single question, else a list of ladders in the order of the questions.

    Raises:
        ValueError: There is no rung, a rung is out of order or given twice, or ``compat`` is not
            "exact".

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        rungs = lab.ladder(engine, "How many r in raspberry?", caps=(16, 64), waits=(0, 1))
        print(rungs.at(cap=16).answer)
    """
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    rungs = [rungs_of(b, caps, waits) for b in asked.budgets]
    caps, waits = tuple(caps), tuple(waits)
    asked.open()

    def program(i: int) -> Program[Ladder]:
        trace = asked.traces[i][0]
        climbed = yield from ladder_program(trace, rungs[i], asked.sampling, engine.context)
        return Ladder(asked.questions[i], caps, waits, climbed)

    def unfinished(i: int) -> Ladder:
        forks = [asked.traces[i][0].fork(None, rung) for rung in rungs[i]]
        return Ladder(asked.questions[i], caps, waits, forks)

    made = {"call": "ladder", "caps": list(caps), "waits": list(waits)} | asked.settings()
    found = asked.run(program, unfinished, lambda found: found.traces, what="climbing", made=made)
    return asked.given(found)


def ladder_program(
    trace: Trace, rungs: Sequence[Budget], sampling: Sampling, context: int
) -> Program[list[Trace]]:
    """Run every rung in one thinking pass.

    As long as a rung thinks, its ids are those of all longer rungs. One trace goes up. At each
    rung's end it leaves a copy, which closes and answers. Rungs that end at the same place in the
    same way are answered once. A rung's trace is the one that `s1lab.force` gives for its
    budget: each request of the pass continues the same ids under the same seed, and only asks for
    more.

    Args:
        trace: The trace, up to where the model begins.
        rungs: Exact budgets that differ in ``max_tokens`` and ``waits`` only.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.

    Returns:
        A trace for each rung, in order.
    """
    free = open_thinking(trace, trace.template.open_ids(trace.ids), rungs[0], context)
    if free < 1:
        return [trace.fork(len(trace.ids), rung) for rung in rungs]
    caps = [min(free, rung.max_tokens or context) for rung in rungs]
    beginning, ended = len(trace.ids), dict[int, Trace]()
    going = list(range(len(rungs)))

    def leave(leaving: list[int], cut: bool) -> list[int]:
        for i in leaving:
            ended[i] = trace.fork(beginning + caps[i] if cut else len(trace.ids), rungs[i])
            if cut:
                cut_short(ended[i])
        return [i for i in going if i not in leaving]

    while going:
        round, most = len(trace.stops), max(caps[i] for i in going) - trace.thinking_tokens
        done = yield from thinking(trace, most, sampling, round, least=1 if round else 0)
        # A rung whose cap comes before the last id of a delimiter is cut: alone it would not get
        # that far.
        trace.extend([*done.ids, *done.mark[:-1]], Source.SAMPLED)
        going = leave([i for i in going if caps[i] <= trace.thinking_tokens], cut=True)
        # A stop is not in the trace, so the ids of its beginning are removed again.
        if before := len(done.mark[:-1]):
            trace.shorten(before)
        if done.error:
            trace.error = done.error
            going = leave(going, cut=False)
        if not going:
            break
        trace.stops.append(len(trace.ids))
        wrote = len(done.ids)
        wait_ids = trace.template.foreign(rungs[0].continuation(trace.waits))
        stopping = [i for i in going if not goes_on(trace, wait_ids, wrote, rungs[i], caps[i])]
        going = leave(stopping, cut=False)
        if going:
            suppress(trace, wrote, rungs[going[0]], caps[going[0]])
    places = {i: (len(t.ids), t.cut) for i, t in ended.items() if not t.error}
    distinct = {place: ended[i] for i, place in places.items()}
    answered = yield from together(
        [answer(t, rungs[0], sampling, context) for t in distinct.values()]
    )
    shared = dict(zip(distinct, answered, strict=True))
    return [
        shared[places[i]].fork(None, rung) if i in places else ended[i]
        for i, rung in enumerate(rungs)
    ]
