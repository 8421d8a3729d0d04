"""``make reward``: train the reward model that reads the embedded model's traces, in a few minutes.

Traces are sampled on questions of the train split. At the end of each line of a trace, the net of
`s1lab.tiny.reward_model` learns whether the final answer was right. Only training needs the
right answers. How well the net tells right from wrong is measured on the dev split and written into
``reward.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from scipy import stats

from s1lab.budget import Budget
from s1lab.engines.fingerprint import fingerprint
from s1lab.evaluation.evaluate import sweep
from s1lab.loader import load
from s1lab.tiny.reward_model import features_of, load_network, log_odds, thinking_ids
from s1lab.tiny.world import problems
from tools.tiny import FOLDER

SEED, TEMPERATURE = 0, 1.0
# Sometimes a sample rambles on to the end of the context, and keeps all others of its batch
# waiting.
CAP = 400
QUESTIONS = {"train": 600, "dev": 80}
SAMPLES = {"train": 1, "dev": 4}
HIDDEN, STEPS, BATCH, RATE = 32, 600, 1024, 3e-3


def examples(split: str) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, bool]]]:
    """Sample traces and read features at every line's end.

    A trace with no Wait and its continuation after a Wait are two traces, each with its own
    outcome.

    Args:
        split: The split of the questions.

    Returns:
        Features, outcomes (1 right, 0 wrong), and for each its (question, whether it is the last
        line).
    """
    asked = problems(QUESTIONS[split], SEED + 3000, split)
    options = {
        "samples": SAMPLES[split],
        "temperature": TEMPERATURE,
        "seed": SEED,
        "progress": False,
    }
    with load("s1-tiny", device="cpu") as engine:
        runs = sweep(engine, asked, waits=(0, 1), budget=Budget(max_tokens=CAP), **options)  # type: ignore[arg-type]
        newlines = {
            i for i in range(len(engine.template.tokenizer)) if "\n" in engine.template.decode([i])
        }
    network, batches = load_network(), []
    outcomes: list[float] = []
    marks: list[tuple[int, bool]] = []
    for run in runs.values():
        for at in range(0, len(run.traces), 64):
            traces = run.traces[at : at + 64]
            rows, starts, ends = [], [], []
            for i, trace in enumerate(traces, at):
                ids, start = thinking_ids(trace)
                places = [k for k in range(start + 1, len(ids)) if ids[k - 1] in newlines] + [
                    len(ids)
                ]
                rows.append(ids)
                starts.append(start)
                ends.append(places)
                outcomes += [float(run.verdicts[i])] * len(places)
                marks += [(i // SAMPLES[split], k == len(ids)) for k in places]
            with torch.inference_mode():
                batches.append(features_of(network, rows, starts, ends))
    return torch.cat(batches).clone(), torch.tensor(outcomes), marks


def fit(features: torch.Tensor, outcomes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Train the net, seeded, by AdamW on the log-likelihood of the outcomes.

    Args:
        features: Tensor [positions, 2 x width].
        outcomes: Tensor [positions].

    Returns:
        The net's weights.
    """
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
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            log_odds(weights, features[drawn]), outcomes[drawn]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return {name: weight.detach().contiguous() for name, weight in weights.items()}


def quality(
    odds: torch.Tensor, outcomes: torch.Tensor, marks: Sequence[tuple[int, bool]]
) -> dict[str, float]:
    """Measure how well rewards tell right from wrong.

    Args:
        odds: Log-odds [positions].
        outcomes: Outcomes [positions].
        marks: For each its (question, whether it is the last line).

    Returns:
        Areas under the curve: over all partial traces, over whole ones, and among the whole ones of
        one question. A search or best-of-n can only use the last.
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
    return float(stats.mannwhitneyu(right.numpy(), wrong.numpy()).statistic) / (
        len(right) * len(wrong)
    )


def make(out: Path = FOLDER) -> dict[str, Any]:
    """Train, measure on the dev split, and write ``reward.safetensors`` and ``reward.json``.

    Args:
        out: The folder for the files.

    Returns:
        The measurements.
    """
    began = time.time()
    features, outcomes, _ = examples("train")
    weights = fit(features, outcomes)
    held, right, marks = examples("dev")
    measured = quality(log_odds(weights, held), right, marks)
    save_file(
        weights, out / "reward.safetensors", {"fingerprint": fingerprint("s1-tiny"), "format": "pt"}
    )
    made = {
        "command": "python -m tools.tiny.reward",
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
        "train": {"auc_partial": round(_auc(log_odds(weights, features), outcomes), 4)},
        "minutes": round((time.time() - began) / 60, 1),
    }
    (out / "reward.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder for reward.safetensors and reward.json"
    )
    options = parser.parse_args()
    print(json.dumps(make(options.out), indent=1))


if __name__ == "__main__":
    main()
