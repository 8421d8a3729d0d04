"""REBASE (the paper's Figure 7): a tree of thoughts, in which a reward decides which branches grow.

Its tokens are counted in the same ledger as those of every other method
(`s1lab.methods.Cost`). As in the paper's figure, the ledger leaves out the tokens that a
reward model reads. A `s1lab.methods.Tree` says how many traces the reward scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s1lab.api import one_or_many
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, Sampling
from s1lab.evaluation.arguments import shown, whole
from s1lab.forcing import answer, cut_short, open_thinking, suppress, thinking
from s1lab.methods.allocation import ALLOCATIONS, balanced, ceilings, growth_weights
from s1lab.methods.costs import Cost, cost, usage
from s1lab.methods.fan_out import together
from s1lab.methods.rewards import Score, check_score, rated
from s1lab.methods.samples import VOTES, check_samples, kinds_of
from s1lab.methods.tree import Tree
from s1lab.questions import Budgets, Options, Question, Questions, Storing
from s1lab.tokenization.bound_template import BoundTemplate
from s1lab.trace import Source, Trace


@one_or_many(Tree, list[Tree])
def rebase(
    engine: Engine,
    questions: Question | Iterable[Question],
    width: int,
    reward: Score,
    budget: Budgets | None = None,
    *,
    balance: float = 0.2,
    step: str | None = "\n",
    step_tokens: int = 256,
    kind: str | Sequence[str] = "math",
    allocation: str = "remainder",
    vote: str = "weighted",
    temperature: float = 1.0,
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
) -> Tree | list[Tree]:
    """REBASE, a tree search by reward (Wu et al., arXiv 2408.00724; the paper's Figure 7).

    It finishes ``width`` traces, which share beginnings. Thinking grows in steps. After each step
    the reward scores the open branches. They then share as many new branches as there are traces
    unfinished, in proportion to exp(reward / balance), by largest-remainder rounding; ties go to
    the earlier branch. A branch without a share is dropped. Finished traces answer, and the answers
    are voted on with the rewards as weights. The seed of each step depends on (seed, question, path
    in the tree).

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        width: How many traces are finished in the end; 1 is plain sampling.
        reward: A function from a partial Trace (its thinking so far) to a number, or a
            `s1lab.methods.Reward`, which sees all branches of a step at once. It gets no
            right answer, and may use the engine itself. If it raises or gives no finite number,
            that question has an ``error`` that names it, and the other trees grow on.
        budget: The budget of every trace, with ``compat="exact"``. With ``waits``, a branch that
            stops must go on and stays open: this is the tree together with budget forcing. The
            search ends at the cap at the latest.
        balance: Near 0 the best branch takes everything. With a large number all branches share
            alike.
        step: A text that ends a step, as does any token that contains it; None for none.
        step_tokens: The most tokens of a step.
        kind: As in `s1lab.vote`.
        allocation: "remainder" shares the branches as described above. "ceiling" shares them as the
            original's code does, greedily: the branch of the highest reward first, each with its
            share of what is left, rounded up (`ceilings`).
        vote: "weighted" votes as described above. "majority" counts as the original's code does by
            default, see `s1lab.methods.Tree`.
        temperature: As in `s1lab.vote`.
        top_p: As in `s1lab.vote`.
        top_k: As in `s1lab.vote`.
        min_p: As in `s1lab.vote`.
        repetition_penalty: As in `s1lab.vote`.
        presence_penalty: As in `s1lab.vote`.
        frequency_penalty: As in `s1lab.vote`.
        seed: As in `s1lab.vote`.
        answer_tokens: As in `s1lab.vote`.
        answer_room: As in `s1lab.vote`.
        system: As in `s1lab.vote`.
        store: As in `s1lab.vote`.
        progress: As in `s1lab.vote`.

    Returns:
        A Tree for a single question, else a list of trees in the order of the questions.

    Raises:
        ValueError: An argument can't be used. The message names it.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        tree = lab.rebase(engine, "How many r in raspberry?", 4, lambda t: -t.thinking_tokens / 100)
        print(tree.answer, tree.cost)
    """
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, budget, options)
    kinds = kinds_of(kind, len(asked.questions))
    check_samples("width", width, temperature)
    if any(b.compat != "exact" for b in asked.budgets):
        raise ValueError(
            "the original's loops can't be grown in steps: leave compat out of the budget of a tree"
        )
    growth_weights((), 0, balance)
    whole("step_tokens", step_tokens)
    check_score("reward", reward)
    if step is not None and not isinstance(step, str):
        raise ValueError(f"step={shown(step)} is no text that ends a step: give one, or None")
    for name, given, known in (("allocation", allocation, ALLOCATIONS), ("vote", vote, VOTES)):
        if given not in known:
            raise ValueError(f"{name}={shown(given)} is unknown: choose from {list(known)}")
    steps = Steps(_ids_with(engine.template, step), step_tokens, balance, allocation)
    asked.open()

    def program(i: int) -> Program[Tree]:
        return grow(
            asked.traces[i][0], width, reward, asked.budgets[i], asked.sampling, engine.context,
            steps, kinds[i], vote,
        )  # fmt: skip

    def unfinished(i: int) -> Tree:
        return Tree(asked.questions[i], asked.traces[i], kinds[i], (0.0,), vote=vote)

    made = {
        "call": "rebase", "width": width, "balance": balance, "step": step,
        "step_tokens": step_tokens, "allocation": allocation, "vote": vote,
        "reward": getattr(reward, "__name__", type(reward).__name__),
    } | asked.settings()  # fmt: skip
    found = asked.run(
        program, unfinished, lambda tree: tree.traces, what="growing trees", made=made
    )
    return asked.given(found)


@dataclass(frozen=True)
class Steps:
    """How a tree grows.

    Attributes:
        ends: Ids that end a step.
        tokens: The most tokens of a step.
        balance: The temperature of the rewards.
        allocation: How new branches are shared: "remainder" or "ceiling".
    """

    ends: frozenset[int]
    tokens: int
    balance: float
    allocation: str = "remainder"

    def shares(self, rewards: Sequence[float], n: int) -> list[int]:
        """Share ``n`` new branches among old ones that have these rewards."""
        return (ceilings if self.allocation == "ceiling" else balanced)(rewards, n, self.balance)


@dataclass
class _Branch:
    """A trace as far as it has grown. ``path`` has the numbers of the branches that lead to it."""

    trace: Trace
    path: tuple[int, ...] = ()
    parent: _Branch | None = None
    suppressed: bool = False  # whether its last step ended in a stop that was suppressed
    ended: bool = False
    kept: bool = False
    reward: float = 0.0

    def lengths(self) -> tuple[int, int]:
        """Ids that its last step added: the model's, and the program's."""
        assert self.parent is not None
        new = self.trace.source[len(self.parent.trace.source) :]
        return new.count(Source.SAMPLED), new.count(Source.CONTINUATION)


def grow(
    trace: Trace, width: int, reward: Score, budget: Budget, sampling: Sampling, context: int,
    steps: Steps, kind: str, vote: str = "weighted",
) -> Program[Tree]:  # fmt: skip
    """REBASE over one question; see `rebase`.

    Args:
        trace: The trace, up to where the model begins.
        width: How many traces are finished in the end.
        reward: The reward of a partial trace.
        budget: The budget of every trace.
        sampling: How ids are chosen.
        context: The most ids of a prompt and its completion together.
        steps: How the tree grows.
        kind: How answers are taken out and compared.
        vote: "weighted" or "majority".

    Returns:
        The tree.
    """
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
            _Branch(b.trace.fork(None, budget), (*b.path, j), b)
            for b, n in zip(level, shares, strict=True)
            for j in range(n)
        ]
        yield from together([_step(b, budget, sampling, cap, steps) for b in grown])
        # Equal branches are scored once.
        distinct = {tuple(b.trace.ids): b.trace for b in grown if not b.trace.error}
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
    used = usage(*(b.trace for b in every))
    return Tree(trace.question, traces, kind, marks, spent, scored, depth, vote, used)


def _step(
    branch: _Branch, budget: Budget, sampling: Sampling, cap: int, steps: Steps
) -> Program[None]:
    """Grow a branch by one step: to a step's end, the end of the thinking, or a limit of tokens."""
    trace, path = branch.trace, ".".join(map(str, branch.path))
    left = min(steps.tokens, cap - trace.thinking_tokens)
    alone = branch.parent is not None and branch.parent.suppressed
    wrote = 0
    while True:
        free = cap - trace.thinking_tokens
        # After a suppression request one token alone: it may end a step, but not the thinking.
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
        branch.suppressed = suppress(trace, wrote, budget, cap)
        branch.ended = not branch.suppressed
    elif trace.thinking_tokens >= cap:
        cut_short(trace)
        branch.ended = True


def _spent(ended: Sequence[_Branch], grown: Sequence[_Branch]) -> Cost:
    """The thinking's cost: each step once, thrown away if no finished trace goes through it."""
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
    """The ids whose text contains ``text``. ValueError if the tokenizer has none."""
    if not text:
        return frozenset()
    found = {i for i in range(len(template.tokenizer)) if text in template.decode([i])}
    found -= template.think_stop - template.last_ids
    if not found:
        raise ValueError(
            f"step={text!r} stands in no single token of this tokenizer: give another text, "
            "or step=None"
        )
    return frozenset(found)
