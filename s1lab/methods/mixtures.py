"""Mixtures: several samples at each of several budgets, voted on together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from s1lab.api import one_or_many
from s1lab.budget import Budget
from s1lab.engine import Engine, Program, Sampling
from s1lab.methods.fan_out import together
from s1lab.methods.ladder import ladder_program, names, rungs_of
from s1lab.methods.samples import check_samples, kinds_of
from s1lab.methods.voting import Vote
from s1lab.questions import Options, Question, Questions, Storing
from s1lab.trace import Trace


@one_or_many(dict[str, Vote], dict[str, list[Vote]])
def mixture(
    engine: Engine,
    questions: Question | Iterable[Question],
    samples: int,
    caps: Sequence[int] = (),
    waits: Sequence[int] = (),
    budget: Budget | None = None,
    *,
    kind: str | Sequence[str] = "math",
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
) -> dict[str, Vote] | dict[str, list[Vote]]:
    """Sequential and parallel scaling together: the samples climb all rungs, and each rung votes.

    Each rung's votes are those that `vote` gives for its budget, sample by sample. They cost
    what they would cost alone, though one ladder for each sample wrote them.

    Args:
        engine: The engine that runs the model, from `s1lab.load`.
        questions: One question, or many.
        samples: The number of samples of each question.
        caps: The most thinking tokens of each rung, as in `s1lab.ladder`.
        waits: How many stops each rung suppresses, as in `s1lab.ladder`.
        budget: What the rungs share, as in `s1lab.ladder`. One for all questions.
        kind: As in `vote`.
        temperature: As in `vote`.
        top_p: As in `vote`.
        top_k: As in `vote`.
        min_p: As in `vote`.
        repetition_penalty: As in `vote`.
        presence_penalty: As in `vote`.
        frequency_penalty: As in `vote`.
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
        question = "How many r in raspberry?"
        votes = lab.methods.mixture(engine, question, 4, caps=(16, 64), waits=(1,))
        print({rung: voted.answer for rung, voted in votes.items()})
    """
    options = Options(
        Sampling(
            temperature, top_p, seed, top_k, min_p, repetition_penalty, presence_penalty,
            frequency_penalty,
        ),
        answer_tokens, answer_room, system, store, progress,
    )  # fmt: skip
    asked = Questions(engine, questions, options.answering(budget), options)
    kinds = kinds_of(kind, len(asked.questions))
    rungs = rungs_of(asked.budgets[0], caps, waits)
    labels = names(tuple(caps), tuple(waits))
    check_samples("samples", samples, temperature)
    asked.open(samples)

    def program(i: int) -> Program[list[Vote]]:
        climbed = yield from together(
            [ladder_program(t, rungs, asked.sampling, engine.context) for t in asked.traces[i]]
        )
        return [
            Vote(asked.questions[i], [of_sample[r] for of_sample in climbed], kinds[i])
            for r in range(len(rungs))
        ]

    def unfinished(i: int) -> list[Vote]:
        return [
            Vote(asked.questions[i], [t.fork(None, rung) for t in asked.traces[i]], kinds[i])
            for rung in rungs
        ]

    def traces_of(voted: list[Vote]) -> list[Trace]:
        return [trace for vote in voted for trace in vote.traces]

    made = {"call": "mixture", "samples": samples, "rungs": labels} | asked.settings()
    found = asked.run(program, unfinished, traces_of, what="voting on ladders", made=made)
    if asked.single:
        return dict(zip(labels, found[0], strict=True))
    return {label: [of_question[r] for of_question in found] for r, label in enumerate(labels)}
