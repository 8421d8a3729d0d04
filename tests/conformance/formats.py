"""A model of which each token is known, for every thinking format, and what an engine makes of it.

``python -m tests.conformance.formats FOLDER ENGINE [ADDRESS]`` prints that as JSON: vLLM holds one
model a process, so it has a process of its own.
"""

from __future__ import annotations

import json
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import s1lab as lab
from s1lab.template import ThinkTemplate
from s1lab.tiny.tokenizer import build
from s1lab.tokenization.bound_template import bind
from s1lab.tokenization.presets import PRESETS
from tests.conformance.serving import KEY
from tests.helpers.families import FAMILIES

# A chain a format: what the model writes behind the opening and behind a Wait of the format's own.
WAITS = {
    "qwen3": "Wait",
    "r1-distill": "Wait",
    "deepseek-v3.1": "Wait",
    "magistral": "Hmm",
    "gpt-oss": "Alternatively",
    "spelled": "stop",
}
SPELLED = ThinkTemplate("<y>", ("</y>",), "</y>", "spelled", newline=False)
# By the format: what the model thinks in a round, if nobody interrupts it.
THOUGHTS = {
    "qwen3": "12",
    "r1-distill": "12",
    "deepseek-v3.1": "12",
    "magistral": "34",
    "gpt-oss": "56",
    "spelled": "78",
}
WIDTH = 448


def tokenizer() -> PreTrainedTokenizerFast:
    """The embedded one with the tokens of all formats."""
    made = build()
    for family in FAMILIES.values():
        made.add_tokens(
            [AddedToken(t, special=True, normalized=False) for t in family.tokens],
            special_tokens=True,
        )
        made.add_tokens(
            [AddedToken(t, special=False, normalized=False) for t in family.plain_tokens]
        )
    return made


def save(folder: Path) -> Path:
    """A model in which the last token alone decides the next one: the embeddings are unit vectors,
    and no layer adds to them.
    """
    made = tokenizer()
    config = Qwen2Config(
        vocab_size=len(made), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=7, num_key_value_heads=7, max_position_embeddings=2048,
        tie_word_embeddings=False, eos_token_id=made.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    network = Qwen2ForCausalLM(config)
    assert len(made) <= WIDTH
    follows: dict[int, tuple[int, int]] = {}

    def chain(*texts: str) -> None:
        ids = [made.encode(text, add_special_tokens=False) for text in texts]
        flat = [i for piece in ids for i in piece]
        for a, b in pairwise(flat):
            follows[a] = (b, follows.get(a, (flat[-1], 0))[0])

    chain("\n", "12</think>", "\n")
    chain("<think>", "1")
    chain("Wait", "1")
    chain("[THINK]", "34[/THINK]", "A")
    chain("Hmm", "3")
    chain("<|message|>", "56<|end|><|start|>assistant<|channel|>final<|message|>")
    chain("Alternatively", "5")
    chain("<y>", "7")
    chain("78</y>", "7")
    chain("stop", "7")
    chain(":", "<|im_end|>")
    with torch.no_grad():
        network.model.embed_tokens.weight.zero_()
        network.model.embed_tokens.weight[range(len(made)), range(len(made))] = 1.0
        layer = network.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        network.lm_head.weight.normal_(0, 0.01)
        for token, (first, second) in follows.items():
            # The normalisation before it makes a unit vector sqrt(WIDTH) long.
            network.lm_head.weight[first, token] = 9 / WIDTH**0.5
            if second != first:
                network.lm_head.weight[second, token] = 7 / WIDTH**0.5
    network.generation_config.eos_token_id = made.eos_token_id
    made.chat_template = FAMILIES["qwen3"].chat
    network.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def bound(name: str) -> Any:
    """A format's template over the tokenizer of all formats."""
    words = tokenizer()
    spelled = name == "spelled"
    words.chat_template = FAMILIES["qwen3"].chat if spelled else FAMILIES[name].chat
    fixed = {"strftime_now": "2024-07-26"} if name == "gpt-oss" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = SPELLED if spelled else PRESETS[FAMILIES[name].preset]
        return bind(
            template,
            words,
            {words.eos_token_id, words.convert_tokens_to_ids("<|return|>")},
            chat_template_kwargs=fixed,
        )


def row(trace: lab.Trace) -> dict[str, Any]:
    return {
        "ids": trace.ids, "source": [str(s) for s in trace.source],
        "waits": trace.waits, "cut": trace.cut, "stops": trace.stops,
        "error": trace.error, "notes": trace.notes,
        "text": trace.text, "thinking": trace.thinking, "answer": trace.answer,
    }  # fmt: skip


def answers(engine: lab.Engine) -> dict[str, dict[str, Any]]:
    """What an engine makes of each format: a trace a case."""
    found = {}
    for name, wait in WAITS.items():
        engine.template = bound(name)
        budget = lab.Budget(wait=wait, answer_tokens=6)
        longer = {"max_tokens": 60, "waits": 2, "wait": wait, "answer_tokens": 6}
        nasty = f"How many <|im_start|> in {engine.template.template.ends[0]}<|message|>?"
        cases = {
            "own stop": lab.force(engine, "Q?", budget),
            "two waits": lab.force(engine, "Q?", lab.Budget(**longer)),
            "no text": lab.force(engine, "Q?", lab.Budget(**longer | {"wait": None})),
            "floor": lab.force(engine, "Q?", lab.Budget(min_tokens=9, wait=wait, answer_tokens=6)),
            "no thinking": lab.direct(engine, "Q?", answer_tokens=6),
            "control tokens": lab.force(engine, nasty, lab.Budget(**longer | {"waits": 1})),
            "sampled": lab.force(engine, "Q?", lab.Budget(**longer), temperature=1.0, seed=3),
            "readme": lab.force(engine, "Q?", lab.Budget(**longer, compat="readme")),
            "harness": lab.force(engine, "Q?", lab.Budget(**longer, compat="harness")),
        }
        for cap in range(1, 16):
            cases[f"cap {cap}"] = lab.force(
                engine, "Q?", lab.Budget(max_tokens=cap, waits=1, wait=wait, answer_tokens=6)
            )
            cases[f"sampled cap {cap}"] = lab.force(
                engine,
                "Q?",
                lab.Budget(max_tokens=cap, waits=1, wait=wait, answer_tokens=6),
                temperature=1.0,
                seed=3,
            )
        for temperature in (0.0, 1.0):
            climbed = lab.ladder(
                engine, "Q?", caps=range(1, 16), waits=(), temperature=temperature, seed=3,
                budget=lab.Budget(waits=1, wait=wait, answer_tokens=6),
            )  # fmt: skip
            for cap in range(1, 16):
                cases[f"{'sampled ' * bool(temperature)}rung {cap}"] = climbed.at(cap=cap)
        tree = lab.rebase(
            engine, "Q?", 2, lambda _: 1.0, lab.Budget(**longer), step=None, step_tokens=3, seed=1
        )
        cases |= {
            "tree": tree.traces[0],
            "rejected": lab.methods.reject(engine, "Q?", 6, tries=2, seed=1),
        }
        found[name] = {case: row(trace) for case, trace in cases.items()}
    return found


def main(folder: str, engine: str, address: str = "") -> None:
    where, options = (
        (address, {"tokenizer": folder, "api_key": KEY})
        if engine == "server"
        else (folder, {"engine": engine})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = lab.load(where, **options)
    with loaded:
        Path(folder, f"{engine}.json").write_text(json.dumps(answers(loaded)))


if __name__ == "__main__":
    main(*sys.argv[1:])
