"""The card of a fine-tuned model: its data and base, its recipe, and the versions used."""

from __future__ import annotations

from typing import Any

METHOD = "The method is that of *s1: Simple test-time scaling* (arXiv 2501.19393)."


def card(made: dict[str, Any]) -> str:
    """Write a model's card.

    Args:
        made: The record that `s1lab.sft.train` wrote.

    Returns:
        Markdown with a hub's front matter.
    """
    recipe, (first, last) = made["recipe"], made["loss"]
    how = (
        f"{made['rows']:,} rows, {made['tokens']:,} tokens, {made['steps']:,} steps in "
        f"{made['seconds'] / 60:.1f} minutes"
    )
    settings = "\n".join(
        f"| {name} | {value} |" for name, value in recipe.items() if value not in (None, [], ())
    )
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    return f"""---
base_model: {made["model"]}
library_name: transformers
tags: [s1lab, test-time-scaling]
---

# {made["model"]}, fine-tuned by the recipe {recipe["name"]}

{how}; the loss went from {first:.3f} to {last:.3f}.

| | |
| --- | --- |
| data (SHA-256 of the tokenised rows) | {made["data"]} |
| base (fingerprint) | {made["fingerprint"]} |
| rows cut at the block | {"yes" if made["cut"] else "no"} |
{settings}

Made with s1lab on trl: {versions}. {METHOD}
"""
