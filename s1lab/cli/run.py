"""``s1lab run`` and ``s1lab ladder``: ask one question under one budget or under many."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.shell import FAILED, goes_on, numbers, tell, work


def run(
    question: given.Question,
    model: given.Model = "s1-tiny",
    engine: given.EngineName = "auto",
    option: given.EngineOptions = None,
    api_key: given.Key = None,
    max_tokens: given.MaxTokens = None,
    min_tokens: given.MinTokens = 0,
    waits: given.Waits = None,
    wait: given.Wait = "Wait",
    on_cut: given.OnCut = "Final Answer:",
    answer_tokens: given.AnswerTokens = None,
    answer_room: given.AnswerRoom = 100,
    compat: given.Compat = "exact",
    temperature: given.Temperature = 0.0,
    top_p: given.TopP = 1.0,
    top_k: given.TopK = 0,
    min_p: given.MinP = 0.0,
    repetition_penalty: given.Repetition = 1.0,
    presence_penalty: given.Presence = 0.0,
    frequency_penalty: given.Frequency = 0.0,
    seed: given.Seed = 0,
    system: given.System = None,
    store: given.Store = None,
    as_json: given.AsJson = False,
) -> None:
    """Ask one question and print the trace.

    Forced text is shown in «guillemets».

    \b
    Example:
      s1lab run "How many r in raspberry" --waits 1
    """
    with work(goes_on(store)):
        budget = lab.Budget(
            max_tokens,
            min_tokens,
            waits,
            wait,
            on_cut,
            answer_tokens,
            compat,  # type: ignore[arg-type]
            answer_room,
        )
        with given.load(model, engine, option, api_key) as loaded:
            trace = lab.force(
                loaded,
                question,
                budget,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                min_p=min_p,
                repetition_penalty=repetition_penalty,
                presence_penalty=presence_penalty,
                frequency_penalty=frequency_penalty,
                seed=seed,
                system=system,
                store=store,
            )
        facts = {"model": loaded.model, "engine": loaded.name} | _facts(trace)
    tell(facts, trace.show(color=sys.stdout.isatty()), as_json)
    if trace.error:
        raise typer.Exit(FAILED)


def ladder(
    question: given.Question,
    caps: Annotated[
        str, typer.Option(help="Caps, rising, with commas between them.")
    ] = "16,32,64,128,256",
    waits: Annotated[
        str, typer.Option(help="Numbers of Waits, likewise; 0 is the model's own stop.")
    ] = "0,1,2,4",
    model: given.Model = "s1-tiny",
    engine: given.EngineName = "auto",
    option: given.EngineOptions = None,
    api_key: given.Key = None,
    min_tokens: given.MinTokens = 0,
    wait: given.Wait = "Wait",
    on_cut: given.OnCut = "Final Answer:",
    answer_tokens: given.AnswerTokens = None,
    answer_room: given.AnswerRoom = 100,
    temperature: given.Temperature = 0.0,
    top_p: given.TopP = 1.0,
    top_k: given.TopK = 0,
    min_p: given.MinP = 0.0,
    repetition_penalty: given.Repetition = 1.0,
    presence_penalty: given.Presence = 0.0,
    frequency_penalty: given.Frequency = 0.0,
    seed: given.Seed = 0,
    system: given.System = None,
    store: given.Store = None,
    as_json: given.AsJson = False,
) -> None:
    """Ask one question at many budgets at once.

    All rungs come from one thinking pass. Each rung's answer is printed.

    \b
    Example:
      s1lab ladder "How many r in raspberry" --caps 8,16,32 --waits 0,1
    """
    with work(goes_on(store)):
        rungs = numbers("--caps", caps), numbers("--waits", waits)
        budget = lab.Budget(
            min_tokens=min_tokens,
            wait=wait,
            on_cut=on_cut,
            answer_tokens=answer_tokens,
            answer_room=answer_room,
        )
        with given.load(model, engine, option, api_key) as loaded:
            found = lab.ladder(
                loaded, question, *rungs, budget=budget, temperature=temperature, top_p=top_p,
                top_k=top_k, min_p=min_p, repetition_penalty=repetition_penalty,
                presence_penalty=presence_penalty, frequency_penalty=frequency_penalty, seed=seed,
                system=system, store=store,
            )  # fmt: skip
        facts = {
            "model": loaded.model,
            "engine": loaded.name,
            "question": question,
            "rungs": [{"rung": name} | _facts(trace) for name, trace in found.items()],
            "written": found.written,
            "alone": found.alone,
        }
    tell(
        facts,
        f"{found}\n{found.written} tokens written for all rungs, {found.alone} one by one",
        as_json,
    )
    if found.error:
        raise typer.Exit(FAILED)


def _facts(trace: lab.Trace) -> dict[str, Any]:
    """Return the content of a trace's text as plain data."""
    return {
        "question": trace.question,
        "answer": trace.answer,
        "segments": [[str(source), text] for source, text in trace.segments()],
        "thinking_tokens": trace.thinking_tokens,
        "forced_tokens": trace.forced_tokens,
        "waits": trace.waits,
        "cut": trace.cut,
        "answer_cut": trace.answer_cut,
        "notes": trace.notes,
        "error": trace.error,
    }
