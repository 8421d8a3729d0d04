"""Rivals of thinking longer: many traces of one question, side by side (the paper's Figures 4 right and 7).

Majority voting and best-of-n sample n traces that know nothing of each other; :func:`mixture` lets each of them think on as
well; REBASE grows a tree whose branches a reward feeds or starves. All of them count their tokens in one ledger
(:class:`s1lab.Cost`). What a reward model reads is not in it, as in the paper's Figure 7; a Tree says how often it was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Unpack, overload

from s1lab import api
from s1lab.arguments import shown, whole
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, together
from s1lab.evaluation import grade
from s1lab.forcing import Sampling, answer, cut_short, goes_on, open_thinking, thinking
from s1lab.methods.allocation import ALLOCATIONS, balanced, ceilings, growth_weights
from s1lab.methods.rewards import Score, rated
from s1lab.methods.samples import VOTES
from s1lab.methods.tree import Tree
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Cost, Source, Trace, cost

MOST = 10_000  # samples a question: grouping and voting on more would take minutes


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
    reward: a function from a partial Trace (its thinking as far as it goes) to a number, or a
        :class:`s1lab.methods.rewards.Reward`, which sees all branches of a step at once. It gets
        no right answer, and may ask the engine itself. Where it raises or gives no
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
    kinds = kinds_of(kind, len(asked))
    sampling = sampling_of(width, temperature, top_p, seed, "width")
    if any(b.compat != "exact" for b in budgets):
        raise ValueError("the original's loops can't be grown in steps: leave compat out of the budget of a tree")
    growth_weights((), 0, balance)
    whole("step_tokens", step_tokens)
    for name, given, known in (("allocation", allocation, ALLOCATIONS), ("vote", vote, VOTES)):
        if given not in known:
            raise ValueError(f"{name}={shown(given)} is unknown: choose from {list(known)}")
    steps = Steps(_ids_with(engine.template, step), step_tokens, balance, allocation)
    traces = api.open_traces(engine, asked, budgets, system)

    def program(i: int) -> Program[Tree]:
        return grow(traces[i], width, reward, budgets[i], sampling, engine.context, steps, kinds[i], vote)

    def unfinished(i: int) -> Tree:
        return Tree(asked[i], with_error([traces[i]]), kinds[i], (0.0,), vote=vote)

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


def sampling_of(n: int, temperature: float, top_p: float, seed: int, name: str = "n") -> Sampling:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}={n!r} is no number of samples: give a whole number of at least 1")
    if n > MOST:
        raise ValueError(f"{name}={n} samples a question are more than the {MOST:,} that can be voted on: take fewer")
    if n > 1 and temperature == 0:
        raise ValueError(f"{name}={n} samples at temperature 0 are all the same: raise the temperature or take one")
    return Sampling(temperature, top_p, seed)


def kinds_of(kind: str | Sequence[str], questions: int) -> list[str]:
    kinds = [kind] * questions if isinstance(kind, str) else list(kind)
    if len(kinds) != questions:
        raise ValueError(f"{len(kinds)} kinds for {questions} questions: give one for all, or one a question")
    if unknown := [k for k in kinds if k not in grade.KINDS]:
        raise ValueError(f"no kind of answer is called {unknown[0]!r}: choose from {list(grade.KINDS)}")
    return kinds


def with_error(traces: list[Trace]) -> list[Trace]:
    for trace in traces:
        trace.error = api.UNFINISHED
    return traces
