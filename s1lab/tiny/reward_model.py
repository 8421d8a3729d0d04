"""A small reward model of the embedded world.

It estimates how likely a partial trace of ``s1-tiny`` ends in the right answer. A net of one hidden
layer reads the hidden states of ``s1-tiny`` itself at the end of the thinking: its last hidden
state, and the mean over the thinking. ``make reward`` (``python -m tools.tiny.reward``) trained it.
``reward.json`` says how well it tells right from wrong, measured on the dev split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedModel, Qwen2ForCausalLM

from s1lab.engines.fingerprint import fingerprint
from s1lab.engines.model_files import reading
from s1lab.engines.model_names import locate
from s1lab.methods.rewards import Reward
from s1lab.trace import Source, Trace

FOLDER = Path(__file__).parent


class TinyReward(Reward):
    """The trained reward: a number from 0 to 1 for a trace of ``s1-tiny``, whole or partial.

    Traces of another model with the same tokenizer work too. Of a whole trace it reads up to the
    end of the thinking, never the answer.

    Example:
        score = TinyReward().many([trace])[0]
    """

    __name__ = "lab.tiny.reward()"

    def __init__(self, folder: Path = FOLDER) -> None:
        with safe_open(folder / "reward.safetensors", "pt") as file:
            trained_on = (file.metadata() or {}).get("fingerprint")
            self._weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if trained_on != fingerprint("s1-tiny"):
            raise ValueError(
                "the reward model was trained on other weights of s1-tiny than these: train it "
                "again, make reward"
            )
        self._network = load_network()

    @torch.inference_mode()
    def many(self, traces: Sequence[Trace]) -> list[float]:
        """Estimate how likely each trace ends in the right answer.

        Args:
            traces: Traces in the ids of ``s1-tiny``'s tokenizer.

        Returns:
            A number from 0 to 1 for each trace.

        Raises:
            ValueError: If a trace has ids that the tokenizer does not know.
        """
        most = self._network.config.vocab_size
        if any(i >= most for t in traces for i in t.ids):
            raise ValueError(
                f"a trace has ids beyond the {most} of s1-tiny: this reward reads no other model's"
            )
        read = [thinking_ids(t) for t in traces]
        features = features_of(
            self._network,
            [ids for ids, _ in read],
            [start for _, start in read],
            [[len(i)] for i, _ in read],
        )
        return [round(float(p), 6) for p in torch.sigmoid(log_odds(self._weights, features))]


def load_network() -> PreTrainedModel:
    """Load ``s1-tiny`` in float32; its hidden states are read."""
    with reading("s1-tiny"):
        network: PreTrainedModel = Qwen2ForCausalLM.from_pretrained(
            locate("s1-tiny"), dtype=torch.float32
        )
    network.eval()
    return network


def thinking_ids(trace: Trace) -> tuple[list[int], int]:
    """Return the ids up to the end of the thinking, and how many of them come before it."""
    opened = sum(s is Source.PROMPT for s in trace.source)
    return trace.ids[: opened + trace.thinking_tokens], opened


def features_of(
    network: PreTrainedModel, rows: list[list[int]], starts: list[int], ends: list[list[int]]
) -> torch.Tensor:
    """Read the features at each end of each row.

    Args:
        network: The model, from `load_network`.
        rows: The ids of each row.
        starts: For each row, the position at which its thinking starts.
        ends: For each row, the positions at which to read.

    Returns:
        A tensor [positions, 2 x width]: the hidden state before each end, and the mean from the
        row's start to it.
    """
    longest = max(len(ids) for ids in rows)
    # padding is on the right, where causal attention does not see it
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in rows])
    states = network.base_model(input_ids=padded, use_cache=False)[0]
    sums = torch.nn.functional.pad(states.cumsum(1), (0, 0, 1, 0))
    found = []
    for row, (start, at) in enumerate(zip(starts, ends, strict=True)):
        places = torch.tensor(at)
        mean = (sums[row, places] - sums[row, start]) / (places - start).clamp_min(1)[:, None]
        found.append(torch.cat([states[row, places - 1], mean], dim=1))
    return torch.cat(found)


def log_odds(weights: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """Return the net's log-odds [positions]."""
    scaled = (features - weights["mean"]) / weights["deviation"]
    hidden = torch.tanh(scaled @ weights["in"] + weights["in_bias"])
    return hidden @ weights["out"] + weights["out_bias"]
