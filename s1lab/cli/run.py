"""``s1lab run`` and ``s1lab ladder``: ask one question under one budget or under many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, cast

import typer

import s1lab as lab
from s1lab.cli import options as given
from s1lab.cli.shell import FAILED, announce, goes_on, in_color, numbers, on_terminal, tell, work


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
      echo "How many r in raspberry" | s1lab run - --max-tokens 16
    """
    with work(goes_on(store)) as write:
        question = given.asked(question)
        sampling: dict[str, Any] = {
            "temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p,
            "repetition_penalty": repetition_penalty, "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty, "seed": seed,
        }  # fmt: skip
        lab.engine.Sampling(**sampling)  # like the budget, checked before the model is loaded
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
            if note := lab.tiny.scope_note(loaded.model, question):
                announce(f"s1lab: note: {note}", always=True)
            # Only a terminal sees the tokens as they come. A store has no part in that.
            shown = store is None and not as_json and on_terminal()
            if shown:
                trace = _watched(loaded, question, budget, sampling | {"system": system}, write)
            else:
                trace = lab.force(loaded, question, budget, system=system, store=store, **sampling)
        facts = {"model": loaded.model, "engine": loaded.name} | _facts(trace)
    tell(facts, "" if shown else trace.show(color=in_color()), as_json)
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
        question = given.asked(question)
        rungs = numbers("--caps", caps), numbers("--waits", waits)
        budget = lab.Budget(
            min_tokens=min_tokens,
            wait=wait,
            on_cut=on_cut,
            answer_tokens=answer_tokens,
            answer_room=answer_room,
        )
        sampling: dict[str, Any] = {
            "temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p,
            "repetition_penalty": repetition_penalty, "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty, "seed": seed,
        }  # fmt: skip
        # Both are checked before the model is loaded.
        lab.engine.Sampling(**sampling)
        lab.methods.ladder.rungs_of(budget, *rungs)
        with given.load(model, engine, option, api_key) as loaded:
            found = lab.ladder(
                loaded, question, *rungs, budget=budget, system=system, store=store, **sampling
            )
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


def _watched(
    engine: lab.Engine,
    question: str,
    budget: lab.Budget,
    options: dict[str, Any],
    write: Callable[[str], None],
) -> lab.Trace:
    """Ask a question, and write the trace as it grows."""
    from s1lab.figures.trace_view import follow

    colored = in_color()
    with lab.Driver(engine) as driver:
        handle = driver.force(question, budget, watch=True, **options)
        try:
            follow(cast("Iterator[lab.Trace]", handle.events()), write, colored)
        except KeyboardInterrupt:
            write("\x1b[0m\n" if colored else "\n")
            raise
        return handle.result()


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
