"""Training and measurement of s1-smol: SmolLM2-135M-Instruct, fine-tuned on 1,000 traces."""

from tools import ROOT

FOLDER = ROOT / "s1lab" / "smol"  # where the adapters ship, with their card and records
RUNS = ROOT / "runs" / "smol"  # what a run writes; a run that was stopped goes on from here
BASE = "smollm2"
SEED = 0
