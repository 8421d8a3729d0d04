"""A rehearsal: run every notebook of a profile with random weights, before a GPU is rented.

The model is a Qwen2 of two layers with the ids of Qwen2.5: 151,643 for text, of which the first 256
are its bytes, then 22 special tokens, and rows up to 152,064 that the tokenizer does not know. The
text that it writes means nothing. The rehearsal tests that it can be written, forced, stored,
graded and drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.profiles import Machine, Profile

TEXT_IDS, ROWS, CONTEXT = 151_643, 152_064, 512
SPECIALS = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> "
    "<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> "
    "<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> "
    "<|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
).split()
# Like Qwen2.5's template: without a system turn of yours, it writes one of its own.
CHAT = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a model of random "
    "weights.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] }}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Values of a rehearsal for parameters of these names, in place of the profile's.
SMALL: dict[str, Any] = {
    "questions": 4, "benchmark": "embedded", "benchmarks": ["embedded"], "benchmark_size": 12,
    "doubt_size": 4, "cap": 24, "caps": [8, 16, 24], "waits": [1, 2], "samples": 2,
    "prices": [40, 80, 160], "pool_path": "", "benchmark_paths": [], "pool_size": 400,
    "trace_words": [4, 180], "chosen": 20, "ngram": 13, "repeat_ngram": 13, "launch": "",
    "domain": "domain",
}  # fmt: skip


def model(folder: Path, seed: int = 0) -> Path:
    """Write the model of random weights into a folder, unless it is there. It takes about 80 MB."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer().save_pretrained(folder)
    start, end = TEXT_IDS + 1, TEXT_IDS + 2
    config = Qwen2Config(
        vocab_size=ROWS, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT,
        bos_token_id=TEXT_IDS, eos_token_id=end, pad_token_id=TEXT_IDS,
    )  # fmt: skip
    torch.manual_seed(seed)
    network = Qwen2ForCausalLM(config)
    # random, but such that it sometimes stops, and sometimes writes an id that has no text
    with torch.no_grad():
        for layer in network.model.layers:
            for part in (
                layer.self_attn.q_proj,
                layer.self_attn.k_proj,
                layer.self_attn.v_proj,
                layer.self_attn.o_proj,
            ):
                part.weight.mul_(12)  # so that all ids before matter, not the last one alone
        network.model.embed_tokens.weight.mul_(20)
        network.lm_head.weight[[start, end]] *= 4
        network.lm_head.weight[TEXT_IDS + len(SPECIALS) + 7] *= 3
    network.generation_config.eos_token_id = [end, TEXT_IDS]
    network.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """Make a tokenizer of the bytes, with fillers up to the first special token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = letters + [f"Ġfiller{number}" for number in range(TEXT_IDS - len(letters))]
    made = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False, model_max_length=CONTEXT, chat_template=CHAT,
    )  # fmt: skip


def rehearsal(
    profile: Profile,
    known: dict[str, set[str]],
    folder: Path,
    address: str | None = None,
    cuda: bool = False,
) -> Profile:
    """Replace every model of a profile by the one of random weights, and use small numbers.

    The engine stays the profile's own, on one device.

    Args:
        profile: The profile.
        known: For each notebook, the parameters it knows.
        folder: The folder for all output.
        address: Address of a server of that model, for a profile that asks one.
        cuda: Whether GPUs are here. Then one notebook has the GPU at a time.

    Returns:
        The changed profile.
    """
    where = str(model(folder / "model").resolve())
    notebooks = {}
    for notebook, given in profile.notebooks.items():
        small = {name: value for name, value in SMALL.items() if name in known[notebook]}
        engine = given.get("engine_options", {}).get("engine")
        options: dict[str, Any] = {"engine": engine} if engine else {}
        if engine == "vllm":
            options |= {"max_model_len": CONTEXT, "max_num_seqs": 16}
        served = str(given.get("model", "")).startswith("http")
        names: dict[str, Any] = {
            "model": address if served else where,
            "base": where,
            "label_with": "",
        }
        names |= {
            "models": [where, where],
            "engine_options": {} if served else options,
            "reward": "shortest",
            "widths": [2],
        }
        names |= {"results": str(folder.resolve()), "figures": str((folder / "figures").resolve())}
        if "recipe" in known[notebook]:
            changes = {
                "model": where,
                "epochs": 1,
                "dtype": "float32",
                "weights": "float32",
                "shape": None,
                "lora": None,
            }
            names |= {
                "recipe": "qwen-0.5b",
                "changes": changes,
                "rows": str(_rows(folder).resolve()),
            }
        notebooks[notebook] = (
            given
            | small
            | {name: value for name, value in names.items() if name in known[notebook]}
        )
    return replace(
        profile,
        name=f"dry-{profile.name}",
        notebooks=notebooks,
        machine=Machine(gpus=profile.machine.gpus if cuda else 0),
    )


def _rows(folder: Path) -> Path:
    """Write rows to fine-tune on: the first dozen of the embedded pool that fit the context.

    Each has a trace. A byte is one token.
    """
    from s1lab import tiny

    path = folder / "rows.jsonl"
    if not path.exists():
        rows = [
            row
            for row in tiny.pool(200, 0)
            if row["thinking"] and row["attempt"] and len(row["thinking"]) < 150
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[:12]), encoding="utf-8")
    return path


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a vLLM server with the model of random weights on loopback. It is stopped at the end.

    Args:
        folder: The folder of the model.

    Yields:
        The server's address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "model": model(folder / "model"), "host": "127.0.0.1", "port": port, "dtype": "float32",
        "max-model-len": CONTEXT, "max-num-seqs": 16, "block-size": 32,
    }  # fmt: skip
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    # On a CPU: a gigabyte for keys and values, and one core for the model.
    quiet = os.environ | {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
    }
    log = folder / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, start_new_session=True, env=quiet
        )
    try:
        _wait(process, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 300) -> None:
    import httpx

    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        time.sleep(0.3)
    why = (
        f"ended with code {process.returncode}"
        if process.poll() is not None
        else f"did not come up within {seconds:.0f} s"
    )
    raise RuntimeError(f"vLLM's server {why}: {log} has what it said")
