"""Rivals of thinking longer: many traces of one question, side by side (the paper's Figures 4 right and 7).

Majority voting and best-of-n sample n traces that know nothing of each other; :func:`mixture` lets each of them think on as
well; REBASE grows a tree whose branches a reward feeds or starves. All of them count their tokens in one ledger
(:class:`s1lab.Cost`). What a reward model reads is not in it, as in the paper's Figure 7; a Tree says how often it was asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Unpack, overload

from s1lab import api, grade
from s1lab.arguments import real, shown, whole
from s1lab.budget import Budget
from s1lab.cost import Cost, cost
from s1lab.engine import Engine, Program
from s1lab.ladder import names, rungs_of
from s1lab.programs import Sampling, answer, cut_short, direct, force, goes_on, ladder, open_thinking, thinking, together
from s1lab.template import BoundTemplate
from s1lab.trace import Source, Trace
from s1lab.voting import VOTES, Best, Score, Tree, Vote, rated

MOST = 10_000  # samples a question: grouping and voting on more would take minutes
ALLOCATIONS = ("remainder", "ceiling")  # how a tree shares its branches


@overload
def vote(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, budget: Budget | None = ..., *, kind: str = ..., thinking: bool = ...,
    prefix: str | None = ..., **options: Unpack[api.Options],
) -> Vote: ...  # fmt: skip
@overload
def vote(
    engine: Engine, questions: Iterable[str], n: int, budget: api.Budgets | None = ..., *, kind: str | Sequence[str] = ...,
    thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> list[Vote]: ...  # fmt: skip
def vote(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    budget: api.Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Vote | list[Vote]:
    """Majority voting: ``n`` traces a question under a budget; a Vote has maj@k for every k up to n.

    kind: how answers are taken out and compared ("math", "choice", "integer", "exact"), one for all, or one a question.
    thinking=False votes on answers that no thinking comes before (``prefix`` as in :func:`s1lab.direct`); it takes no budget.
    temperature: 1 as in the paper's Figure 4; at 0 all samples would be the same.
    The rest is as in :func:`s1lab.force`, whose traces these are: sample i is what it gives for the question's repeat i.
    """
    single, asked = api.questions_of(questions)
    api.check_thinking(thinking, budget, prefix)
    budgets = api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    kinds = _kinds(kind, len(asked))
    sampling = _sampled(n, temperature, top_p, seed)
    traces = _samples(engine, asked, budgets if thinking else [None] * len(asked), n, system)

    def sample(trace: Trace, budget: Budget) -> Program[Trace]:
        if thinking:
            return force(trace, budget, sampling, engine.context)
        return direct(trace, prefix, answer_tokens, sampling, engine.context)

    def program(i: int) -> Program[Vote]:
        done = yield from together([sample(t, budgets[i]) for t in traces[i]])
        return Vote(asked[i], done, kinds[i])

    def unfinished(i: int) -> Vote:
        return Vote(asked[i], _marked(traces[i]), kinds[i])

    made = {"call": "vote", "samples": n} | ({} if thinking else {"prefix": prefix, "answer_tokens": answer_tokens})
    made |= api.settings(sampling, system, budgets if thinking else [])
    found: Vote | list[Vote] = api.drive(
        engine, program, unfinished, len(asked), single, what="voting", progress=progress, store=store, made=made,
        opened=lambda i: traces[i], traces_of=lambda voted: voted.traces,
    )  # fmt: skip
    return found


@overload
def best_of(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, score: Score, budget: Budget | None = ..., *, kind: str = ...,
    thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> Best: ...  # fmt: skip
@overload
def best_of(
    engine: Engine, questions: Iterable[str], n: int, score: Score, budget: api.Budgets | None = ..., *,
    kind: str | Sequence[str] = ..., thinking: bool = ..., prefix: str | None = ..., **options: Unpack[api.Options],
) -> list[Best]: ...  # fmt: skip
def best_of(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    score: Score,
    budget: api.Budgets | None = None,
    *,
    kind: str | Sequence[str] = "math",
    thinking: bool = True,
    prefix: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Best | list[Best]:
    """Best-of-n: the answer of the trace with the highest score, of the same ``n`` samples as :func:`vote` has.

    score: a function from a whole Trace to a number. It gets no right answer, unless you put one into it.
    The rest is as in :func:`vote`. Where the score raises or gives no finite number, that question has an ``error`` that names
    the score, and the others are chosen from as usual; what was sampled is in the store by then.
    """
    voted: Vote | list[Vote] = vote(
        engine, questions, n, budget, kind=kind, thinking=thinking, prefix=prefix, temperature=temperature, top_p=top_p,
        seed=seed, answer_tokens=answer_tokens, answer_room=answer_room, system=system, store=store, progress=progress,
    )  # fmt: skip
    return _chosen(voted, score) if isinstance(voted, Vote) else [_chosen(v, score) for v in voted]


def _chosen(voted: Vote, score: Score) -> Best:
    """The best of a question's samples; with an error and without an answer where the score fails on it."""
    try:
        return voted.best(score)
    except ValueError as why:
        for trace in voted.traces:
            trace.error = trace.error or str(why)
        return Best(voted.question, voted.traces, voted.kind, (0.0,) * len(voted.traces))


@overload
def mixture(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, n: int, caps: Sequence[int] = ..., waits: Sequence[int] = ..., budget: Budget | None = ..., *,
    kind: str = ..., **options: Unpack[api.Options],
) -> dict[str, Vote]: ...  # fmt: skip
@overload
def mixture(
    engine: Engine, questions: Iterable[str], n: int, caps: Sequence[int] = ..., waits: Sequence[int] = ...,
    budget: Budget | None = ..., *, kind: str | Sequence[str] = ..., **options: Unpack[api.Options],
) -> dict[str, list[Vote]]: ...  # fmt: skip
def mixture(
    engine: Engine,
    questions: str | Iterable[str],
    n: int,
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    budget: Budget | None = None,
    *,
    kind: str | Sequence[str] = "math",
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> dict[str, Vote] | dict[str, list[Vote]]:
    """Sequential and parallel together: ``n`` samples a question, each thinking to every rung, and a vote at each rung.

    caps, waits, budget: the rungs and what they share, as in :func:`s1lab.ladder`. The result is a dictionary by the rung's name
    ("cap 16", "own stop", "2 Waits"): each rung's votes are those that :func:`vote` gives for its budget, sample by sample, and
    cost what they would cost alone, though one ladder a sample wrote them.
    """
    single, asked = api.questions_of(questions)
    kinds, shared = _kinds(kind, len(asked)), api.with_answer(budget, answer_tokens, answer_room)
    rungs, labels = rungs_of(shared, caps, waits), names(tuple(caps), tuple(waits))
    sampling = _sampled(n, temperature, top_p, seed)
    traces = _samples(engine, asked, [shared] * len(asked), n, system)

    def program(i: int) -> Program[list[Vote]]:
        climbed = yield from together([ladder(t, rungs, sampling, engine.context) for t in traces[i]])
        return [Vote(asked[i], [of_sample[r] for of_sample in climbed], kinds[i]) for r in range(len(rungs))]

    def unfinished(i: int) -> list[Vote]:
        return [Vote(asked[i], [t.fork(None, rung) for t in _marked(traces[i])], kinds[i]) for rung in rungs]

    made = {"call": "mixture", "samples": n, "rungs": labels} | api.settings(sampling, system, [shared])
    found: list[list[Vote]] = api.drive(
        engine, program, unfinished, len(asked), False, what="voting on ladders", progress=progress and not single, store=store,
        made=made, opened=lambda i: traces[i], traces_of=lambda voted: [t for v in voted for t in v.traces],
    )  # fmt: skip
    if single:
        return dict(zip(labels, found[0], strict=True))
    return {label: [of_question[r] for of_question in found] for r, label in enumerate(labels)}


@overload
def rebase(  # type: ignore[overload-overlap]
    engine: Engine, questions: str, width: int, reward: Score, budget: Budget | None = ..., *, balance: float = ...,
    step: str | None = ..., step_tokens: int = ..., kind: str = ..., allocation: str = ..., vote: str = ...,
    **options: Unpack[api.Options],
) -> Tree: ...  # fmt: skip
@overload
def rebase(
    engine: Engine, questions: Iterable[str], width: int, reward: Score, budget: api.Budgets | None = ..., *,
    balance: float = ..., step: str | None = ..., step_tokens: int = ..., kind: str | Sequence[str] = ...,
    allocation: str = ..., vote: str = ..., **options: Unpack[api.Options],
) -> list[Tree]: ...  # fmt: skip
def rebase(
    engine: Engine,
    questions: str | Iterable[str],
    width: int,
    reward: Score,
    budget: api.Budgets | None = None,
    *,
    balance: float = 0.2,
    step: str | None = "\n",
    step_tokens: int = 256,
    kind: str | Sequence[str] = "math",
    allocation: str = "remainder",
    vote: str = "weighted",
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    answer_tokens: int | None = None,
    answer_room: int | None = None,
    system: str | None = None,
    store: api.Storing = None,
    progress: bool = True,
) -> Tree | list[Tree]:
    """REBASE, a tree search by reward (Wu et al., arXiv 2408.00724; the paper's Figure 7): ``width`` traces, shared beginnings.

    Thinking grows in steps. After each, the open branches are scored, and as many new branches as there are traces unfinished
    are shared among them in proportion to exp(reward / balance): whole parts first, what is left by the largest remainders, of
    equal ones to the earlier branch. A branch without a share is dropped. Finished traces answer, and the answers are voted on
    with the rewards as weights.

    width: traces that are finished in the end; 1 is plain sampling.
    reward: a function from a partial Trace (its thinking as far as it goes) to a number, or a :class:`s1lab.voting.Reward`, which
        sees all branches of a step at once. It gets no right answer, and may ask the engine itself. Where it raises or gives no
        finite number, that question has an ``error`` that names it, and the other trees grow on.
    budget: of every trace, in exact semantics. With ``waits`` a branch that stops is made to go on, and stays open: that is the
        tree together with budget forcing. The search ends at the cap at the latest.
    balance: near 0 the best branch takes everything; large, all branches share alike.
    step: text that ends a step, with any token that has it in it; None for none. step_tokens: the longest step.
    allocation: "remainder" shares the branches as said above. "ceiling" shares them as the original's code does, greedily: the
        branch of the highest reward first, each the whole number above its share of what is left (:func:`ceilings`).
    vote: "weighted" as said above; "majority" as the original's code counts by default, see :class:`s1lab.Tree`.
    The rest is as in :func:`vote`. Each step's seed is of (seed, question, path in the tree).
    """
    single, asked = api.questions_of(questions)
    budgets = api.budgets_of(budget, len(asked), single, answer_tokens, answer_room)
    kinds = _kinds(kind, len(asked))
    sampling = _sampled(width, temperature, top_p, seed, "width")
    if any(b.compat != "exact" for b in budgets):
        raise ValueError("the original's loops can't be grown in steps: leave compat out of the budget of a tree")
    _weights((), 0, balance)
    whole("step_tokens", step_tokens)
    for name, given, known in (("allocation", allocation, ALLOCATIONS), ("vote", vote, VOTES)):
        if given not in known:
            raise ValueError(f"{name}={shown(given)} is unknown: choose from {list(known)}")
    steps = Steps(_ids_with(engine.template, step), step_tokens, balance, allocation)
    traces = api.open_traces(engine, asked, budgets, system)

    def program(i: int) -> Program[Tree]:
        return grow(traces[i], width, reward, budgets[i], sampling, engine.context, steps, kinds[i], vote)

    def unfinished(i: int) -> Tree:
        return Tree(asked[i], _marked([traces[i]]), kinds[i], (0.0,), vote=vote)

    made = {
        "call": "rebase", "width": width, "balance": balance, "step": step, "step_tokens": step_tokens,
        "allocation": allocation, "vote": vote,
        "reward": getattr(reward, "__name__", type(reward).__name__),
    } | api.settings(sampling, system, budgets)  # fmt: skip
    found: Tree | list[Tree] = api.drive(
        engine, program, unfinished, len(asked), single, what="growing trees", progress=progress, store=store, made=made,
        opened=lambda i: [traces[i]], traces_of=lambda tree: tree.traces,
    )  # fmt: skip
    return found


@dataclass(frozen=True)
class Steps:
    """How a tree grows.

    Args:
        ends: Ids that end a step.
        tokens: The longest step.
        balance: The temperature of the rewards.
        allocation: How new branches are shared: "remainder" or "ceiling".
    """

    ends: frozenset[int]
    tokens: int
    balance: float
    allocation: str = "remainder"

    def shares(self, rewards: Sequence[float], n: int) -> list[int]:
        """``n`` new branches shared among old ones of these rewards."""
        return (ceilings if self.allocation == "ceiling" else balanced)(rewards, n, self.balance)


@dataclass
class _Branch:
    """A trace as far as it has grown; ``path`` are the numbers of the branches that lead to it."""

    trace: Trace
    path: tuple[int, ...] = ()
    parent: _Branch | None = None
    suppressed: bool = False  # its last step ended in a stop that was not let through
    ended: bool = False
    kept: bool = False
    reward: float = 0.0

    def lengths(self) -> tuple[int, int]:
        """Ids that its last step added: the model's, and the program's."""
        assert self.parent is not None
        new = self.trace.source[len(self.parent.trace.source) :]
        return new.count(Source.SAMPLED), new.count(Source.CONTINUATION)


def grow(
    trace: Trace, width: int, reward: Score, budget: Budget, sampling: Sampling, context: int, steps: Steps, kind: str,
    vote: str = "weighted",
) -> Program[Tree]:  # fmt: skip
    """REBASE over one question; see :func:`rebase`."""
    free = open_thinking(trace, trace.template.open_ids(trace.ids), budget, context)
    if free < 1:
        return Tree(trace.question, [trace], kind, (0.0,), vote=vote)
    cap = min(free, budget.max_tokens or context)
    level, shares = [_Branch(trace)], [width]
    ended: list[_Branch] = []
    every: list[_Branch] = []
    scored = depth = 0
    while level:
        grown = [
            _Branch(b.trace.fork(None, budget), (*b.path, j), b) for b, n in zip(level, shares, strict=True) for j in range(n)
        ]
        yield from together([_step(b, budget, sampling, cap, steps) for b in grown])
        distinct = {tuple(b.trace.ids): b.trace for b in grown if not b.trace.error}  # equal branches are read once
        rewards = dict(zip(distinct, rated(reward, list(distinct.values()), "reward"), strict=True))
        for branch in grown:
            branch.reward = rewards.get(tuple(branch.trace.ids), 0.0)
        depth, scored, every = depth + 1, scored + len(distinct), every + grown
        ended += [b for b in grown if b.ended]
        level = [b for b in grown if not b.ended]
        shares = steps.shares([b.reward for b in level], width - len(ended))
    spent = _spent(ended, every)
    for i, branch in enumerate(ended):
        branch.trace.sample = width * trace.sample + i
    going = [b.trace for b in ended if not b.trace.error]
    thought = cost(*going)
    yield from together([answer(t, budget, sampling, context) for t in going])
    answered = cost(*going)
    spent += Cost(answered.sampled - thought.sampled, answered.forced - thought.forced)
    traces, marks = [b.trace for b in ended], tuple(b.reward for b in ended)
    return Tree(trace.question, traces, kind, marks, spent, scored, depth, vote)


def _step(branch: _Branch, budget: Budget, sampling: Sampling, cap: int, steps: Steps) -> Program[None]:
    """One step more on a branch: to the end of a line, of the thinking, of the step's tokens or of the cap."""
    trace, path = branch.trace, ".".join(map(str, branch.path))
    left = min(steps.tokens, cap - trace.thinking_tokens)
    alone = branch.parent is not None and branch.parent.suppressed
    wrote = 0
    while True:
        free = cap - trace.thinking_tokens
        # After a suppression one token is asked for by itself: it may end a step, but not the thinking.
        done = yield from (
            thinking(trace, 1, sampling, f"{path} first", least=1)
            if alone
            else thinking(trace, left, sampling, f"{path} step", also=steps.ends, room=free)
        )
        trace.extend(list(done.ids), Source.SAMPLED)
        left, wrote = left - len(done.ids), wrote + len(done.ids)
        if done.error or not alone or left < 1:
            break
        alone = False
    if done.error:
        trace.error, branch.ended = done.error, True
    elif done.mark:
        trace.stops.append(len(trace.ids))
        wait_ids = trace.template.foreign(budget.continuation(trace.waits))
        more = goes_on(trace, wait_ids, wrote, budget, cap)
        branch.suppressed, branch.ended = more, not more
        if more:
            trace.extend(wait_ids, Source.CONTINUATION)
            trace.waits += 1
    elif trace.thinking_tokens >= cap:
        cut_short(trace)
        branch.ended = True


def balanced(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """``n`` new branches shared in proportion to exp(reward / balance), by largest remainders.

    Each branch gets the whole part of its share. What is left goes to the largest remainders; ties go
    to the earlier branch.

    Args:
        rewards: Of the open branches.
        n: New branches in all.
        balance: Near 0 the best branch takes everything; large, all share alike.

    Returns:
        Whole numbers that add up to ``n``, one a branch.

    Raises:
        ValueError: For rewards, a number or a balance that make no sense.

    Example:
        >>> balanced([1.0, 0.8, 0.6], 8, 0.2)
        [5, 2, 1]
    """
    weights = _weights(rewards, n, balance)
    exact = [n * w / sum(weights) for w in weights]
    parts = [math.floor(round(x, 9)) for x in exact]
    order = sorted(range(len(exact)), key=lambda i: (-round(exact[i] - parts[i], 9), i))
    for i in order[: n - sum(parts)]:
        parts[i] += 1
    return parts


def ceilings(rewards: Sequence[float], n: int, balance: float) -> list[int]:
    """``n`` new branches shared as the original's code does it, by greedy ceilings.

    ``select_softmax`` in its ``eval/rebase/inference_scaling/rebase.py``: the branches from the
    highest reward down, of equal ones the later first; each gets its share of what is left, among the
    branches that are left, rounded up. So good branches get more than by :func:`balanced`, and the
    last ones often none. The original adds in float32, where a rounding at times hands out one branch
    too many; here they always add up to ``n``.

    Args:
        rewards: Of the open branches.
        n: New branches in all.
        balance: Its ``softmax_temperature``, 0.2 there.

    Returns:
        Whole numbers that add up to ``n``, one a branch, in the order of ``rewards``.

    Raises:
        ValueError: For rewards, a number or a balance that make no sense.

    Example:
        >>> ceilings([1.0, 0.8, 0.6], 8, 0.2)
        [6, 2, 0]
    """
    weights = _weights(rewards, n, balance)
    order = sorted(range(len(weights)), key=lambda i: (rewards[i], i), reverse=True)
    parts = [0] * len(weights)
    left = n
    for place, i in enumerate(order):
        rest = math.fsum(weights[j] for j in order[place:])
        # The rounding keeps a share that is whole but for its last bits from being rounded up.
        parts[i] = math.ceil(round(left * weights[i] / rest, 9)) if rest else left
        left -= parts[i]
    return parts


def _weights(rewards: Sequence[float], n: int, balance: float) -> list[float]:
    """exp(reward / balance), but for a common factor."""
    whole("n", n, 0)
    if not real("balance", balance, "a temperature above 0, such as 0.2") > 0:
        raise ValueError(f"balance={balance} is no temperature: give a number above 0, such as 0.2")
    for i, reward in enumerate(rewards):
        real(f"rewards[{i}]", reward, "a finite reward a branch")
    return [math.exp((r - max(rewards)) / balance) for r in rewards]


def _spent(ended: Sequence[_Branch], grown: Sequence[_Branch]) -> Cost:
    """What the thinking cost: each step once, as thrown away where no finished trace goes through it."""
    for leaf in ended:
        branch: _Branch | None = leaf
        while branch is not None and not branch.kept:
            branch.kept = True
            branch = branch.parent
    steps = [(b.kept, *b.lengths()) for b in grown]
    return Cost(
        sum(wrote for kept, wrote, _ in steps if kept),
        sum(forced for _, _, forced in steps),
        sum(wrote for kept, wrote, _ in steps if not kept),
    )


def _ids_with(template: BoundTemplate, text: str | None) -> frozenset[int]:
    """Ids that have a text in theirs. ValueError where the tokenizer has none."""
    if not text:
        return frozenset()
    found = {i for i in range(len(template.tokenizer)) if text in template.decode([i])}
    found -= template.think_stop - template.last_ids
    if not found:
        raise ValueError(f"step={text!r} stands in no single token of this tokenizer: give another text, or step=None")
    return frozenset(found)


def _sampled(n: int, temperature: float, top_p: float, seed: int, name: str = "n") -> Sampling:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}={n!r} is no number of samples: give a whole number of at least 1")
    if n > MOST:
        raise ValueError(f"{name}={n} samples a question are more than the {MOST:,} that can be voted on: take fewer")
    if n > 1 and temperature == 0:
        raise ValueError(f"{name}={n} samples at temperature 0 are all the same: raise the temperature or take one")
    return Sampling(temperature, top_p, seed)


def _kinds(kind: str | Sequence[str], questions: int) -> list[str]:
    kinds = [kind] * questions if isinstance(kind, str) else list(kind)
    if len(kinds) != questions:
        raise ValueError(f"{len(kinds)} kinds for {questions} questions: give one for all, or one a question")
    if unknown := [k for k in kinds if k not in grade.KINDS]:
        raise ValueError(f"no kind of answer is called {unknown[0]!r}: choose from {list(grade.KINDS)}")
    return kinds


def _samples(engine: Engine, asked: list[str], budgets: Sequence[Budget | None], n: int, system: str | None) -> list[list[Trace]]:
    """For each question its n traces, up to where the model begins."""
    traces = api.open_traces(engine, [q for q in asked for _ in range(n)], [b for b in budgets for _ in range(n)], system)
    return [traces[i * n : (i + 1) * n] for i in range(len(asked))]


def _marked(traces: list[Trace]) -> list[Trace]:
    for trace in traces:
        trace.error = api.UNFINISHED
    return traces
