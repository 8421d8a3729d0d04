"""Mixtures: several samples at each of several budgets, voted on together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack, overload

from s1lab import api, driving
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, together
from s1lab.methods.ladder import ladder_program, names, rungs_of
from s1lab.methods.rebase import kinds_of, sampling_of, with_error
from s1lab.methods.voting import Vote, samples


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
    """Sequential and parallel scaling together: ``n`` samples climb all rungs, and each rung votes.

    Each rung's votes are those that `vote` gives for its budget, sample by sample. They cost
    what they would cost alone, though one ladder for each sample wrote them.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        n: The number of samples of each question.
        caps: The most thinking tokens of each rung, as in `s1lab.ladder`.
        waits: How many stops each rung suppresses, as in `s1lab.ladder`.
        budget: What the rungs share, as in `s1lab.ladder`. One for all questions.
        kind: As in `vote`.
        temperature: As in `vote`.
        top_p: As in `vote`.
        seed: As in `vote`.
        answer_tokens: As in `vote`.
        answer_room: As in `vote`.
        system: As in `vote`.
        store: As in `vote`.
        progress: As in `vote`.

    Returns:
        A dictionary by the rung's name ("cap 16", "own stop", "2 Waits"): a Vote for a single
        question, else a list of votes in the order of the questions.

    Raises:
        ValueError: An argument can't be used. The message names it.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        votes = lab.mixture(engine, "How many r in raspberry?", 4, caps=(16, 64), waits=(1,))
        print({rung: voted.answer for rung, voted in votes.items()})
    """
    single, asked = api.questions_of(questions)
    kinds, shared = kinds_of(kind, len(asked)), api.with_answer(budget, answer_tokens, answer_room)
    rungs, labels = rungs_of(shared, caps, waits), names(tuple(caps), tuple(waits))
    sampling = sampling_of(n, temperature, top_p, seed)
    traces = samples(engine, asked, [shared] * len(asked), n, system)

    def program(i: int) -> Program[list[Vote]]:
        climbed = yield from together(
            [ladder_program(t, rungs, sampling, engine.context) for t in traces[i]]
        )
        return [
            Vote(asked[i], [of_sample[r] for of_sample in climbed], kinds[i])
            for r in range(len(rungs))
        ]

    def unfinished(i: int) -> list[Vote]:
        return [
            Vote(asked[i], [t.fork(None, rung) for t in with_error(traces[i])], kinds[i])
            for rung in rungs
        ]

    made = {"call": "mixture", "samples": n, "rungs": labels} | api.settings(
        sampling, system, [shared]
    )
    found: list[list[Vote]] = driving.drive(
        engine, program, unfinished, len(asked), False, what="voting on ladders", progress=progress and not single, store=store,
        made=made, opened=lambda i: traces[i], traces_of=lambda voted: [t for v in voted for t in v.traces],
    )  # fmt: skip
    if single:
        return dict(zip(labels, found[0], strict=True))
    return {label: [of_question[r] for of_question in found] for r, label in enumerate(labels)}
