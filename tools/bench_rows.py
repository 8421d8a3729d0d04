"""The rows of ``make bench``: each kind of work, and the way it would be done without s1lab.

The rivals are written to be fast.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import s1lab as lab
from s1lab.driver import run
from s1lab.engine import Completion, Program, Request
from s1lab.methods.ladder import rungs_of

LARGEST = "s1-tiny"  # the largest model that the tests have

Row = dict[str, Any]
Work = Callable[[], int]  # does the work and returns its amount: tokens written, or rows read


def compare(name: str, ours: Work, rival: Work, repeats: int, unit: str = "tokens/s") -> Row:
    """Time both in turns, after one warm-up each.

    Args:
        name: The row's name.
        ours: Our work.
        rival: The rival's work. It must come to as many tokens or rows.
        repeats: Turns of each side.
        unit: Unit of the speeds.

    Returns:
        The row.
    """

    def timed(work: Work) -> float:
        began = time.perf_counter()
        done = work()
        return done / (time.perf_counter() - began)

    return compare_rates(name, lambda: timed(ours), lambda: timed(rival), repeats, unit)


def compare_rates(
    name: str,
    ours: Callable[[], float],
    rival: Callable[[], float],
    repeats: int,
    unit: str = "tokens/s",
    warm_up: bool = True,
) -> Row:
    """As `compare`, for work that takes its own time and returns its speed.

    Args:
        name: The row's name.
        ours: Our work.
        rival: The rival's work.
        repeats: Turns of each side.
        unit: Unit of the speeds.
        warm_up: Whether a first turn is not counted.

    Returns:
        The row.
    """
    rates: dict[str, list[float]] = {"ours": [], "rival": []}
    for turn in range(not warm_up, repeats + 1):
        pairs = [("ours", ours), ("rival", rival)]
        for side, work in pairs if turn % 2 else pairs[::-1]:
            rate = work()
            if turn:
                rates[side].append(rate)
    ratios = [a / b for a, b in zip(rates["ours"], rates["rival"], strict=True)]
    return {
        "name": name,
        "ours": round(statistics.median(rates["ours"])),
        "rival": round(statistics.median(rates["rival"])),
        "unit": unit,
        "ratio": round(statistics.median(ratios), 3),
        "repeats": repeats,
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def written(traces: Sequence[lab.Trace]) -> int:
    """Count the tokens that the model wrote, dropped ones included. No trace may have an error."""
    assert not [t.error for t in traces if t.error]
    return sum(t.sampled_tokens + t.dropped for t in traces)


def generate(engine: Any, prompts: Sequence[Any], parameters: Sequence[Any]) -> list[Any]:
    """Call ``vllm.LLM.generate`` without its progress bar, on the same vLLM.

    Args:
        engine: Our vLLM engine.
        prompts: Prompts of text or ids, all at once.
        parameters: The sampling parameters of each.

    Returns:
        The outputs, in order.
    """
    from vllm.sampling_params import RequestOutputKind

    for i, (prompt, sampling) in enumerate(zip(prompts, parameters, strict=True)):
        sampling.output_kind = RequestOutputKind.FINAL_ONLY  # as LLM.generate sets it
        engine.llm.add_request(
            str(i), prompt if isinstance(prompt, str) else {"prompt_token_ids": prompt}, sampling
        )
    finished: dict[int, Any] = {}
    while len(finished) < len(prompts):
        finished |= {int(o.request_id): o.outputs[0] for o in engine.llm.step() if o.finished}
    return [finished[i] for i in range(len(prompts))]


def kept(out: Any) -> int:
    """Count the tokens that were written, without the stop."""
    return len(out.token_ids) - bool(out.finish_reason == "stop")


def one_by_one(engine: Any, repeats: int) -> Row:
    """96 questions with two Waits, against one question at a time, as in the original's README."""
    from vllm import SamplingParams

    questions = list(lab.tiny.problems(96, 41, "dev")["question"])
    cap, ignores, answer = 400, 2, 64
    tokenizer = engine.template.tokenizer
    ends, end = (
        tokenizer("<|im_start|><|im_end|>")["input_ids"],
        tokenizer("<|im_end|>")["input_ids"],
    )

    def readme() -> int:
        total = 0
        for question in questions:
            prompt = (
                f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<|im_start|>think"
            )
            left, least = cap, 0
            for round in range(ignores + 1):
                sampling = SamplingParams(
                    max_tokens=left,
                    min_tokens=least,
                    stop_token_ids=ends,
                    skip_special_tokens=False,
                    temperature=0.0,
                )
                (out,) = generate(engine, [prompt], [sampling])
                total += kept(out)
                left, least = left - len(out.token_ids), 1
                if left <= 0:
                    prompt += out.text
                    break
                prompt += out.text + ("Wait" if round < ignores else "")
            sampling = SamplingParams(
                max_tokens=answer, stop_token_ids=end, skip_special_tokens=False, temperature=0.0
            )
            (out,) = generate(engine, [prompt], [sampling])
            total += kept(out)
        return total

    budget = lab.Budget(max_tokens=cap, waits=ignores, answer_tokens=answer, compat="readme")
    return compare(
        "force-vs-one-by-one",
        lambda: written(lab.force(engine, questions, budget, progress=False)),
        readme,
        repeats,
    )


def barrier(engine: Any, repeats: int) -> Row:
    """96 questions with thinking of very different lengths, against rounds with a barrier.

    The lengths differ tenfold. In each round of the rival, all wait for the slowest.
    """
    questions, answer = list(lab.tiny.problems(96, 42, "dev")["question"]), 64
    rng = random.Random(0)
    # 60 to 600, evenly on a log scale
    lengths = [round(60 * 10 ** rng.random()) for _ in questions]
    budgets = [lab.Budget(max_tokens=n, min_tokens=n, answer_tokens=answer) for n in lengths]
    return compare(
        "force-vs-barrier",
        lambda: written(lab.force(engine, questions, budgets, progress=False)),
        lambda: _rounds(engine, questions, lengths, answer),
        repeats,
    )


def _rounds(engine: Any, questions: list[str], lengths: list[int], answer: int) -> int:
    """Run the evaluator's way: a round starts when all have ended the last one."""
    from vllm import SamplingParams

    template = engine.template
    wait, stop, end = (
        template.encode("Wait"),
        sorted(template.think_stop),
        sorted(template.answer_stop),
    )
    prompts = [template.prompt(q) + template.open_ids() for q in questions]
    thought: list[list[int]] = [[] for _ in questions]
    total, rounds, going = 0, 0, list(range(len(questions)))
    while going:
        parameters = [
            SamplingParams(
                max_tokens=lengths[i] - len(thought[i]),
                min_tokens=1 if rounds else 0,
                stop_token_ids=stop,
                temperature=0.0,
                detokenize=False,
                ignore_eos=True,
            )
            for i in going
        ]
        outs = generate(engine, [prompts[i] + thought[i] for i in going], parameters)
        next_round = []
        for i, out in zip(going, outs, strict=True):
            ids = list(out.token_ids)[: -1 if out.finish_reason == "stop" else None]
            total += len(ids)
            thought[i] += ids
            if out.finish_reason == "stop" and len(thought[i]) + len(wait) < lengths[i]:
                thought[i] += wait
                next_round.append(i)
        going, rounds = next_round, rounds + 1
    closed = [
        prompts[i]
        + thought[i]
        + template.close_ids(thought[i])
        + (template.encode("Final Answer:") if len(thought[i]) == lengths[i] else [])
        for i in range(len(questions))
    ]
    last = SamplingParams(
        max_tokens=answer, stop_token_ids=end, temperature=0.0, detokenize=False, ignore_eos=True
    )
    outs = generate(engine, closed, [last] * len(closed))
    return total + sum(map(kept, outs))


def plain(engine: Any, repeats: int) -> Row:
    """Traces of 400 tokens and more with three Waits each, against plain generation.

    The rival generates as many tokens from the same prompts in one go. The questions are those of
    the world's longest searches whose traces come to that length.
    """
    from vllm import SamplingParams

    asked = [
        row["question"]
        for row in lab.tiny.problems(600, 43, "dev", ["signs"])
        if row["size"] == "large"
    ]
    budget = lab.Budget(waits=3, max_tokens=1000)
    traces = [
        t for t in lab.force(engine, asked, budget, progress=False) if t.thinking_tokens >= 400
    ][:64]
    questions = [t.question for t in traces]
    prompts = [engine.template.prompt(q) + engine.template.open_ids() for q in questions]
    parameters = [
        SamplingParams(
            max_tokens=t.sampled_tokens, ignore_eos=True, temperature=0.0, detokenize=False
        )
        for t in traces
    ]

    def rival() -> int:
        return sum(len(o.token_ids) for o in generate(engine, prompts, parameters))

    return compare(
        "force-vs-plain",
        lambda: written(lab.force(engine, questions, budget, progress=False)),
        rival,
        repeats,
    )


def ladder(engine: Any, repeats: int) -> Row:
    """128 large questions at 6 caps and 4 Waits, against each rung alone.

    Ours takes all rungs of a question from one thinking pass. No rung thinks for more than 512
    tokens. Tokens per second count the tokens of the rungs, which are the same on both sides.
    """
    asked = [
        row["question"] for row in lab.tiny.problems(450, 45, "dev") if row["size"] == "large"
    ][:128]
    caps, waits = (16, 32, 64, 128, 256, 512), (1, 2, 4, 6)
    most = lab.Budget(max_tokens=512)

    def ours() -> int:
        return sum(
            written(found.traces)
            for found in lab.ladder(engine, asked, caps, waits, budget=most, progress=False)
        )

    def rival() -> int:
        budgets = rungs_of(most, caps, waits)
        return sum(written(lab.force(engine, asked, budget, progress=False)) for budget in budgets)

    return compare("ladder-vs-rungs", ours, rival, repeats)


def against_generate(repeats: int) -> Row:
    """64 questions of 200 tokens each on transformers, against ``model.generate``.

    The rival runs one padded batch.
    """
    with lab.load("s1-tiny", engine="transformers") as engine:
        requests = _batch(engine)
        return compare(
            "transformers-vs-generate",
            lambda: completed(engine, requests),
            lambda: generated(engine, [request.ids for request in requests], 200),
            repeats,
        )


def generated(engine: Any, prompts: Sequence[Sequence[int]], n: int) -> int:
    """Write n tokens after each prompt by ``model.generate`` in one padded batch.

    Returns:
        The number of tokens.
    """
    import torch

    width, pad = max(map(len, prompts)), engine.template.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    engine.network.generation_config.eos_token_id = None
    with torch.inference_mode():
        out = engine.network.generate(
            ids, attention_mask=mask, max_new_tokens=n, do_sample=False, pad_token_id=pad
        )
    return int(out.shape[0] * (out.shape[1] - width))


def completed(engine: Any, requests: Sequence[Request]) -> int:
    """Write the requests as one batch, and return the number of tokens."""

    def one(request: Request) -> Program[int]:
        done: Completion = yield request
        return len(done.ids)

    return sum(run(engine, [one(request) for request in requests]))


def _batch(engine: Any) -> list[Request]:
    """64 requests of 200 tokens each."""
    template = engine.template
    questions = lab.tiny.problems(64, 44, "dev")["question"]
    prompts = [template.prompt(question) + template.open_ids() for question in questions]
    return [Request(tuple(prompt), 200, frozenset()) for prompt in prompts]


def streamed(repeats: int) -> Row:
    """64 requests on transformers that report what they have written, against the same without."""
    with lab.load("s1-tiny", engine="transformers") as engine:
        whole = _batch(engine)
        partial = [replace(request, partial=True) for request in whole]
        return compare(
            "stream-vs-whole",
            lambda: completed(engine, partial),
            lambda: completed(engine, whole),
            repeats,
        )


def with_logprobs(repeats: int, k: int) -> Row:
    """64 requests with the ``k`` most likely ids at each place, against the same without any.

    The model is the largest one that the tests have.
    """
    with lab.load(LARGEST, engine="transformers") as engine:
        plain = _batch(engine)
        asked = [replace(request, logprobs=k) for request in plain]
        return compare(
            "logprobs-vs-none" + (f"-x{k}" if k > 1 else ""),
            lambda: completed(engine, asked),
            lambda: completed(engine, plain),
            repeats,
        )


def decontaminate(repeats: int, copies: int) -> Row:
    """The embedded pool, or several copies joined, against the authors' way.

    The authors' way keeps, for each 8-gram of either side, a set of its rows. Both end in the pool
    without the rows that share a gram with the 500 test questions.
    """
    from datasets import concatenate_datasets

    pool, benchmark = lab.tiny.pool(), lab.tiny.benchmark()
    if copies > 1:
        pool = concatenate_datasets([pool] * copies)
    questions, tests, n = list(pool["question"]), list(benchmark["question"]), 8

    def lookup(texts: Sequence[str]) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for row, text in enumerate(texts):
            words = " ".join(text.lower().strip().split()).split()
            for gram in [" ".join(words[at : at + n]) for at in range(len(words) - n + 1)]:
                found.setdefault(gram, set()).add(row)
        return found

    def rival() -> int:
        ours, theirs = lookup(questions), lookup(tests)
        hit = set().union(*(rows for gram, rows in ours.items() if gram in theirs))
        return len(hit) + len(pool.select([row for row in range(len(questions)) if row not in hit]))

    def ours() -> int:
        kept, report = lab.curate.decontaminate(pool, [benchmark], n)
        return len(kept) + len(report.rows)

    name = "decontaminate-vs-sets" + (f"-x{copies}" if copies > 1 else "")
    return compare(name, ours, rival, repeats, "rows/s")


def finetune(repeats: int) -> Row:
    """640 traces of the embedded teacher for one epoch: packed batches against trl's padded ones.

    Ours are the recipe's. Both take 16 rows a step.
    """
    import tempfile

    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from s1lab import sft
    from s1lab.engines.model_files import load_tokenizer
    from s1lab.engines.model_names import locate

    chosen = sft.recipe("tiny").but(epochs=1, save_every=10_000)
    traces, _ = lab.curate.traces(
        lab.tiny.Teacher(), lab.tiny.problems(640, 46, "train"), progress=False
    )
    template = lab.load(chosen.model).template
    rows = sft.encode(traces, template, chosen).remove_columns("row")
    tokens = sum(map(len, rows["input_ids"]))

    def ours() -> int:
        with tempfile.TemporaryDirectory() as out:
            sft.train(chosen.model, rows, chosen, out=out, progress=False)
        return tokens

    def rival() -> int:
        with tempfile.TemporaryDirectory() as out:
            arguments = SFTConfig(
                output_dir=out, num_train_epochs=1, per_device_train_batch_size=chosen.batch,
                learning_rate=chosen.rate, lr_scheduler_type="cosine", warmup_steps=chosen.warmup,
                max_length=None, use_cpu=True, bf16=False, gradient_checkpointing=False,
                logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
            )  # fmt: skip
            trainer = SFTTrainer(
                locate(chosen.model),
                args=arguments,
                train_dataset=rows,
                processing_class=load_tokenizer(chosen.model),
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            trainer.save_model(out)
        return tokens

    return compare("sft-vs-padded", ours, rival, repeats)
