"""Training of the embedded models."""

from tools import ROOT

FOLDER = ROOT / "s1lab" / "tiny"  # where the weights ship, with their cards and records
