"""A small reward model of the embedded world: how likely a partial trace of ``s1-tiny`` ends in the right answer.

``make reward`` (``python -m s1lab.tiny.reward``) trains it in a few minutes: traces are sampled on questions of the train split,
and a net of one hidden layer learns, at the end of each of their lines, whether the answer came out right in the end. It reads
what ``s1-tiny`` itself holds there: its last hidden state, and the mean over the thinking. Right answers are needed for training
alone; how well it tells right from wrong is measured on the dev split and stands in ``reward.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy import stats
from transformers import PreTrainedModel, Qwen2ForCausalLM

from s1lab.budget import Budget
from s1lab.engines.model_files import fingerprint, locate, reading
from s1lab.evaluation.evaluate import sweep
from s1lab.load import load
from s1lab.methods.rewards import Reward
from s1lab.repository import needed
from s1lab.tiny.world import problems
from s1lab.trace import Source, Trace

FOLDER = Path(__file__).parent
SEED, TEMPERATURE = 0, 1.0
CAP = 400  # a sample now and then rambles on to the end of the context, and every other in its batch with it
QUESTIONS = {"train": 600, "dev": 80}
SAMPLES = {"train": 1, "dev": 4}
HIDDEN, STEPS, BATCH, RATE = 32, 600, 1024, 3e-3


class TinyReward(Reward):
    """The trained reward: a number from 0 to 1 for a trace of ``s1-tiny`` (or of a model with its tokenizer), whole or not.

    Of a whole trace it reads up to the end of the thinking, never the answer. ValueError for ids that it does not know.
    """

    __name__ = "lab.tiny.reward()"

    def __init__(self, folder: Path = FOLDER) -> None:
        with safe_open(folder / "reward.safetensors", "pt") as file:
            trained_on = (file.metadata() or {}).get("fingerprint")
            self._weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if trained_on != fingerprint("s1-tiny"):
            raise ValueError("the reward model was trained on other weights of s1-tiny than these: train it again, make reward")
        self._network = _network()

    @torch.inference_mode()
    def many(self, traces: Sequence[Trace]) -> list[float]:
        """For each trace how likely it ends in the right answer, 0 to 1."""
        most = self._network.config.vocab_size
        if any(i >= most for t in traces for i in t.ids):
            raise ValueError(f"a trace has ids beyond the {most} of s1-tiny: this reward reads no other model's")
        read = [_reading(t) for t in traces]
        features = _features(self._network, [ids for ids, _ in read], [start for _, start in read], [[len(i)] for i, _ in read])
        return [round(float(p), 6) for p in torch.sigmoid(_net(self._weights, features))]


def _network() -> PreTrainedModel:
    with reading("s1-tiny"):
        network: PreTrainedModel = Qwen2ForCausalLM.from_pretrained(locate("s1-tiny"), dtype=torch.float32)
    network.eval()
    return network


def _reading(trace: Trace) -> tuple[list[int], int]:
    """The ids up to the end of the thinking, and how many of them come before it."""
    opened = sum(s is Source.PROMPT for s in trace.source)
    return trace.ids[: opened + trace.thinking_tokens], opened


def _features(network: PreTrainedModel, rows: list[list[int]], starts: list[int], ends: list[list[int]]) -> torch.Tensor:
    """[positions, 2 x width]: for each end of each row the hidden state before it, and the mean from the row's start to it."""
    longest = max(len(ids) for ids in rows)
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in rows])  # on the right, where causal attention sees nothing
    states = network.base_model(input_ids=padded, use_cache=False)[0]
    sums = torch.nn.functional.pad(states.cumsum(1), (0, 0, 1, 0))
    found = []
    for row, (start, at) in enumerate(zip(starts, ends, strict=True)):
        places = torch.tensor(at)
        mean = (sums[row, places] - sums[row, start]) / (places - start).clamp_min(1)[:, None]
        found.append(torch.cat([states[row, places - 1], mean], dim=1))
    return torch.cat(found)


def _net(weights: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """Log-odds [positions]."""
    scaled = (features - weights["mean"]) / weights["deviation"]
    hidden = torch.tanh(scaled @ weights["in"] + weights["in_bias"])
    return hidden @ weights["out"] + weights["out_bias"]


def examples(split: str) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, bool]]]:
    """Features and outcomes (1 right, 0 wrong) at every line's end of sampled traces, and of each its (question, whether last).

    A trace with no Wait and the one that goes on from it after a Wait are two, each with its own outcome.
    """
    asked = problems(QUESTIONS[split], SEED + 3000, split)
    options = {"n": SAMPLES[split], "temperature": TEMPERATURE, "seed": SEED, "progress": False}
    with load("s1-tiny", device="cpu") as engine:
        runs = sweep(engine, asked, waits=(0, 1), budget=Budget(max_tokens=CAP), **options)  # type: ignore[arg-type]
        newlines = {i for i in range(len(engine.template.tokenizer)) if "\n" in engine.template.decode([i])}
    network, batches = _network(), []
    outcomes: list[float] = []
    marks: list[tuple[int, bool]] = []
    for run in runs.values():
        for at in range(0, len(run.traces), 64):
            traces = run.traces[at : at + 64]
            rows, starts, ends = [], [], []
            for i, trace in enumerate(traces, at):
                ids, start = _reading(trace)
                places = [k for k in range(start + 1, len(ids)) if ids[k - 1] in newlines] + [len(ids)]
                rows.append(ids)
                starts.append(start)
                ends.append(places)
                outcomes += [float(run.verdicts[i])] * len(places)
                marks += [(i // SAMPLES[split], k == len(ids)) for k in places]
            with torch.inference_mode():
                batches.append(_features(network, rows, starts, ends))
    return torch.cat(batches).clone(), torch.tensor(outcomes), marks


def fit(features: torch.Tensor, outcomes: torch.Tensor) -> dict[str, torch.Tensor]:
    """The net's weights, by AdamW on the log-likelihood of the outcomes; seeded."""
    generator = torch.Generator().manual_seed(SEED)
    width = features.shape[1]
    weights = {
        "mean": features.mean(0),
        "deviation": features.std(0).clamp_min(1e-6),
        "in": torch.randn(width, HIDDEN, generator=generator) / width**0.5,
        "in_bias": torch.zeros(HIDDEN),
        "out": torch.zeros(HIDDEN),
        "out_bias": torch.zeros(()),
    }
    learned = [weights[name].requires_grad_() for name in ("in", "in_bias", "out", "out_bias")]
    optimizer = torch.optim.AdamW(learned, lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(outcomes), (BATCH,), generator=generator)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(_net(weights, features[drawn]), outcomes[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return {name: weight.detach().contiguous() for name, weight in weights.items()}


def quality(odds: torch.Tensor, outcomes: torch.Tensor, marks: Sequence[tuple[int, bool]]) -> dict[str, float]:
    """How well rewards tell right from wrong, as areas under the curve: over all partial traces, over whole ones, and among the
    whole ones of one question, which is all that a search or best-of-n can use.
    """
    last = [i for i, (_, whole) in enumerate(marks) if whole]
    of_question: dict[int, list[int]] = {}
    for i in last:
        of_question.setdefault(marks[i][0], []).append(i)
    pairs = [
        float(odds[a] > odds[b]) + 0.5 * float(odds[a] == odds[b])
        for members in of_question.values()
        for a in members
        for b in members
        if outcomes[a] > outcomes[b]
    ]
    return {
        "auc_partial": round(_auc(odds, outcomes), 4),
        "auc_whole": round(_auc(odds[last], outcomes[last]), 4),
        "auc_within_question": round(sum(pairs) / len(pairs), 4),
        "pairs_within_question": len(pairs),
    }


def _auc(odds: torch.Tensor, outcomes: torch.Tensor) -> float:
    right, wrong = odds[outcomes == 1], odds[outcomes == 0]
    return float(stats.mannwhitneyu(right.numpy(), wrong.numpy()).statistic) / (len(right) * len(wrong))


def make(out: Path = FOLDER) -> dict[str, Any]:
    """Train, measure on the dev split, and write ``reward.safetensors`` and ``reward.json``; what was measured."""
    began = time.time()
    features, outcomes, _ = examples("train")
    weights = fit(features, outcomes)
    held, right, marks = examples("dev")
    measured = quality(_net(weights, held), right, marks)
    save_file(weights, out / "reward.safetensors", {"fingerprint": fingerprint("s1-tiny"), "format": "pt"})
    made = {
        "command": "python -m s1lab.tiny.reward",
        "model": "s1-tiny",
        "questions": QUESTIONS,
        "samples": SAMPLES,
        "temperature": TEMPERATURE,
        "cap": CAP,
        "seed": SEED,
        "positions": {"train": len(outcomes), "dev": len(right)},
        "weights": sum(w.numel() for w in weights.values()),
        "right": {"train": round(float(outcomes.mean()), 4), "dev": round(float(right.mean()), 4)},
        "dev": measured,
        "train": {"auc_partial": round(_auc(_net(weights, features), outcomes), 4)},
        "minutes": round((time.time() - began) / 60, 1),
    }
    (out / "reward.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for reward.safetensors and reward.json")
    options = parser.parse_args()
    if options.out == FOLDER:
        needed("training the reward model that ships")
    print(json.dumps(make(options.out), indent=1))


if __name__ == "__main__":
    main()
