"""The rows of ``make bench`` on SmolLM2: a real language model of 135M weights.

They need the package of its file, see the book's page on models, and minutes.
"""

from __future__ import annotations

import time
from typing import Any

import s1lab as lab
from s1lab.engine import Completion, Request
from tools.bench_rows import Row, compare, compare_rates, completed, generated, written

CONTEXT = 1_024
# The model was not trained to think. What it writes before its turn ends is its thinking here.
SPOKEN = lab.ThinkTemplate(
    "<|im_start|>assistant\n", ("<|im_end|>",), "\nThe final answer is", "spoken", newline=False
)
CAPS, WAITS = (32, 64, 96, 128, 192, 256), (0, 1, 2)


def questions(n: int) -> list[str]:
    """Word problems, all different."""
    return [
        f"A shop sells {7 + i} boxes of {12 + i % 5} pencils and {3 + i % 7} single pencils each "
        f"day. Each pencil costs {2 + i % 4} coins. How many coins does it take in {4 + i % 6} "
        "days? Think step by step."
        for i in range(n)
    ]


def against_generate(repeats: int) -> Row:
    """32 questions of 200 tokens each on transformers, against ``model.generate``."""
    with lab.load("smollm2", engine="transformers", max_model_len=CONTEXT) as engine:
        prompts = [tuple(engine.template.prompt(q)) for q in questions(32)]
        return compare(
            "smollm2-vs-generate",
            lambda: completed(engine, [Request(p, 200, frozenset()) for p in prompts]),
            lambda: generated(engine, prompts, 200),
            repeats,
        )


def probes(repeats: int) -> Row:
    """64 probes of 16 tokens from one trace of 512, against the decoding of their tokens alone.

    Ours takes the beginning of each probe from the trace's keys and values, and reads the ids that
    close the thinking. The rival's rows have all that already: its clock starts when each has its
    first token.
    """
    engine: Any
    with lab.load("smollm2", engine="transformers", max_model_len=CONTEXT) as engine:
        template = engine.template
        start = (*template.prompt(questions(1)[0]), *template.open_ids())
        close = tuple(template.close_ids([]))
        engine.submit(0, Request(start, 512, frozenset()))
        (trace,) = finished(engine, 1)

        def forks(more: int) -> list[Request]:
            return [
                Request((*start, *trace.ids[:at], *close), more, frozenset())
                for at in range(8, 513, 8)
            ]

        def ready() -> None:
            """Keep the trace in the prefix cache, and no probe of an earlier turn."""
            engine._shelf.clear()
            engine.submit(0, Request((*start, *trace.ids), 1, frozenset()))
            finished(engine, 1)

        def ours() -> float:
            ready()
            began = time.perf_counter()
            return completed(engine, forks(16)) / (time.perf_counter() - began)

        def rival() -> float:
            ready()
            decoded = engine.counts["decoded"]
            for key, request in enumerate(forks(17)):
                engine.submit(key, request)
            while engine.counts["decoded"] < decoded + 64:
                engine.poll()
            began = time.perf_counter()
            finished(engine, 64)
            return 64 * 16 / (time.perf_counter() - began)

        return compare_rates("smollm2-probes-vs-decoding", ours, rival, repeats)


def finished(engine: Any, n: int) -> list[Completion]:
    """Wait for n completions."""
    done: list[Completion] = []
    while len(done) < n:
        done += [what for _, what in engine.poll() if isinstance(what, Completion)]
    return done


def ladder(repeats: int) -> Row:
    """A ladder of 9 rungs over 60 questions on transformers, against the same ladder on vLLM.

    The row takes minutes a turn, so that there is no warm-up and there are at most two turns.
    """
    options: dict[str, Any] = {"template": SPOKEN, "max_model_len": CONTEXT}
    budget = lab.Budget(on_cut="")

    def work(engine: Any) -> float:
        began = time.perf_counter()
        found = lab.ladder(
            engine, questions(60), CAPS, WAITS, budget=budget, answer_tokens=32, progress=False
        )
        tokens = sum(written(each.traces) for each in found)
        return tokens / (time.perf_counter() - began)

    with (
        lab.load("smollm2", engine="transformers", **options) as ours,
        lab.load("smollm2", engine="vllm", **options) as rival,
    ):
        return compare_rates(
            "smollm2-ladder-vs-vllm",
            lambda: work(ours),
            lambda: work(rival),
            min(repeats, 2),
            warm_up=False,
        )
