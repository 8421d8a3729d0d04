"""Fine-tuning: the right tokens, the paper's schedule, the same losses however batches are made,
and runs that survive.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import Qwen2Config
from typer.testing import CliRunner

import s1lab as lab
from s1lab import sft
from s1lab.engines.model_files import locate
from s1lab.sft.__main__ import main
from s1lab.sft.collator import Collator
from s1lab.sft.encode import IGNORED
from s1lab.tokenization.bound_template import bind
from tests.helpers import ROOT

QUICK = sft.recipe("tiny").but(epochs=2, batch=8, per_device=8)
PAPER = sft.recipe("s1-32b").but(pad_token=None)


def traces(n: int = 24, seed: int = 3) -> Dataset:
    return lab.curate.traces(lab.tiny.Teacher(seed), lab.tiny.problems(n, seed, "train"))[0]


def learned(row: dict, template) -> str:
    assert len(row["input_ids"]) == len(row["labels"])
    assert all(
        label in (IGNORED, i) for i, label in zip(row["input_ids"], row["labels"], strict=True)
    )
    return template.decode([label for label in row["labels"] if label != IGNORED])


# the token mask


def test_exactly_reasoning_and_answer_have_loss(tiny):
    rows = traces(12)
    for given, row in zip(rows, sft.encode(rows, tiny.template, PAPER), strict=True):
        completion = (
            f"<|im_start|>think\n{given['thinking']}"
            f"<|im_start|>answer\n{given['attempt']}<|im_end|>\n"
        )
        assert learned(row, tiny.template) == completion
        assert (
            tiny.template.decode(row["input_ids"])
            == tiny.template.decode(tiny.template.prompt(given["question"])) + completion
        )


def test_the_same_with_think_tags(tiny):
    tokenizer = tiny.template.tokenizer
    tags = bind(
        lab.ThinkTemplate("<think>\n", ("<|im_start|>",), "</think>\n\n"),
        tokenizer,
        {tokenizer.eos_token_id},
    )
    (row,) = sft.encode(
        Dataset.from_list([{"question": "Q?", "thinking": "a\nb", "attempt": "4"}]), tags, PAPER
    )
    assert learned(row, tags) == "<think>\na\nb\n</think>\n\nAnswer: 4<|im_end|>\n"


def test_words_that_forcing_appends_can_be_left_unlearned(tiny):
    given = {
        "question": "Q?",
        "thinking": "1 a no\nstop\nWait\n2 b Wait yes\nHmm\n2 b Wait yes\n",
        "attempt": "Answer: b",
    }
    (row,) = sft.encode(Dataset.from_list([given]), tiny.template, QUICK)
    whole = f"<|im_start|>think\n{given['thinking']}<|im_start|>answer\nAnswer: b<|im_end|>"
    assert tiny.template.decode(row["input_ids"]).endswith(whole)
    assert learned(row, tiny.template) == whole.replace("\nWait\n", "\n\n").replace(
        "\nHmm\n", "\n\n"
    )


def test_prompts_and_completions_and_ids_are_taken_too(tiny):
    rows = traces(3)
    by_text = sft.encode(lab.curate.to_sft(rows, tiny.template, rows="plain"), tiny.template, QUICK)
    assert by_text.to_list() == sft.encode(rows, tiny.template, QUICK).to_list()
    # Rows that are texts already stay as they are, whatever the recipe makes of traces.
    original = sft.encode(
        lab.curate.to_sft(rows, tiny.template), tiny.template, PAPER.but(rows="plain")
    )
    assert original.to_list() == sft.encode(rows, tiny.template, PAPER).to_list()
    assert original.to_list() != sft.encode(rows, tiny.template, PAPER.but(rows="plain")).to_list()
    assert sft.encode(by_text, tiny.template, QUICK).to_list() == by_text.to_list()


def test_rows_beyond_the_block_are_refused_or_cut_when_asked(tiny):
    rows = traces(10)
    lengths = [len(r["input_ids"]) for r in sft.encode(rows, tiny.template, QUICK)]
    block = sorted(lengths)[7]
    with pytest.raises(
        ValueError,
        match=rf"2 of 10 rows are longer than the block of {block}.*"
        rf"row {lengths.index(max(lengths))}, has",
    ):
        sft.encode(rows, tiny.template, QUICK.but(block=block))
    assert (
        max(
            map(len, sft.encode(rows, tiny.template, QUICK.but(block=block), cut=True)["input_ids"])
        )
        == block
    )
    assert len(sft.encode(rows, tiny.template, QUICK.but(block=max(lengths)))) == 10


# recipes


def test_the_papers_schedule():
    """Section 8 of the facts: 315 steps for 1,000 rows, 16 of warm-up, lr 1e-5, cosine to 0 over
    the other 299.
    """
    for name, block in (("s1-32b", 32_768), ("s1.1-32b", 20_000)):
        r = sft.recipe(name)
        assert (r.epochs, r.batch, r.rate, r.betas, r.decay, r.dtype) == (
            5,
            16,
            1e-5,
            (0.9, 0.95),
            1e-4,
            "bfloat16",
        )
        assert (r.steps(1000), r.warmup_steps(1000), r.block, r.pad_token) == (
            315,
            16,
            block,
            "<|fim_pad|>",
        ) and not r.unlearned
        assert (r.rows, r.seed) == ("original", 42)
    tiny = sft.recipe("tiny")
    assert (tiny.steps(1000), tiny.warmup_steps(1000), tiny.betas, tiny.decay) == (
        315,
        16,
        (0.9, 0.95),
        1e-4,
    )
    with pytest.raises(ValueError, match=r"no recipe is called 's2'.*s1-32b"):
        sft.recipe("s2")
    with pytest.raises(TypeError, match="epoch"):
        tiny.but(epoch=3)
    assert (tiny.rows, tiny.seed) == ("plain", 0)  # which the embedded weights were trained with
    for change, words in (
        ({"batches": "weird"}, "batches='weird'"), ({"epochs": 0}, "epochs=0"),
        ({"rows": "stripped"}, "rows='stripped'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            tiny.but(**change)


@pytest.mark.long
def test_the_trainer_follows_the_schedule(trained):
    found, _ = trained
    steps = QUICK.steps(24)
    warm = QUICK.warmup_steps(24)
    assert [e["step"] for e in found.log] == list(range(1, steps + 1)) == list(
        range(1, 7)
    ) and warm == 1
    half = [
        QUICK.rate * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * k / (steps - warm))).item())
        for k in range(steps - warm)
    ]
    for entry, rate in zip(found.log, [0.0, *half], strict=True):
        assert entry["rate"] == pytest.approx(rate, rel=1e-5)


# training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sft") / "run"
    seen = []
    return sft.train(
        "s1-tiny-base", traces(), QUICK, out=folder, watch=seen.append, progress=False
    ), seen


@pytest.mark.long
def test_what_was_trained_loads_and_tells_what_it_is(trained):
    found, seen = trained
    assert found.loss[-1] < found.loss[0] and seen == found.log
    assert [
        json.loads(line) for line in (found.path / "log.jsonl").read_text().splitlines()
    ] == found.log
    card = (found.path / "README.md").read_text()
    assert (
        "24 rows" in card
        and found.made["data"] in card
        and "| rate | 0.001 |" in card
        and "trl" in card
    )
    assert not list(found.path.glob("checkpoint-*"))
    with lab.load(str(found.path)) as engine:
        trace = lab.force(engine, "How many r in raspberry?", lab.Budget(max_tokens=40))
        assert trace.error is None and trace.thinking.startswith("1 ")
    again = sft.train("s1-tiny-base", traces(), QUICK, out=found.path, progress=False)
    assert (
        again.log == found.log and again.made["seconds"] == found.made["seconds"]
    )  # nothing was trained again


@pytest.mark.long
def test_a_run_of_version_0_1_is_found_finished(trained, tmp_path):
    """Its recipe named no rows, and there were none but those that are called plain now."""
    found, _ = trained
    shutil.copytree(found.path, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    assert record["recipe"].pop("rows") == "plain"
    path.write_text(json.dumps(record))
    assert (
        sft.train("s1-tiny-base", traces(), QUICK, out=tmp_path / "run", progress=False).log
        == found.log
    )
    with pytest.raises(ValueError, match="holds a run of another"):
        sft.train(
            "s1-tiny-base",
            traces(),
            QUICK.but(rows="original"),
            out=tmp_path / "run",
            progress=False,
        )


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [{"batches": "padded"}, {"batches": "flat"}, {"per_device": 2}, {"checkpointing": True}],
)
def test_losses_are_the_same_however_a_batch_is_made(trained, tmp_path, change):
    """Over the whole trajectory, and with no drift to one side."""
    found, _ = trained
    other = sft.train(
        "s1-tiny-base", traces(), QUICK.but(**change), out=tmp_path / "run", progress=False
    )
    differences = [b - a for a, b in zip(found.loss, other.loss, strict=True)]
    assert max(map(abs, differences)) < 2e-5 and abs(sum(differences) / len(differences)) < 5e-6


SHARED = """
import json, os, sys
sys.path.insert(0, {root!r})
from tests.helpers.sharding import shard_on_cpus
from tests.sft.test_sft import SHORT, held, traces
from s1lab import sft
if __name__ == "__main__":
    shard_on_cpus()
    with held() as found:
        sft.train("s1-tiny-base", traces(20), SHORT, out=sys.argv[1], progress=False)
    with open(sys.argv[1] + "." + os.environ["RANK"], "w") as file:
        json.dump(found, file)
"""
# 20 rows in batches of 8: the last batch of an epoch is short, as it is with the paper's 1,000 rows
# in batches of 16.
SHORT = QUICK.but(save_every=100)


@contextlib.contextmanager
def held():
    """Bytes of trained weights, gradients and moments that a process holds when its optimiser has
    stepped.
    """
    found: dict[str, int] = {}

    def size(tensor) -> int:
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        return local.numel() * local.element_size()

    def hook(optimizer, *_) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        found["trained"] = sum(map(size, parameters))
        found["gradients"] = sum(size(p.grad) for p in parameters)
        moments = [
            t
            for state in optimizer.state.values()
            for t in state.values()
            if torch.is_tensor(t) and t.numel() > 1
        ]
        found["optimiser"] = sum(map(size, moments))

    handle = register_optimizer_step_post_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


def launched(tmp_path: Path, *command: str, timeout: int = 300) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=timeout, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.long
def test_two_processes_under_fsdp2_follow_one(tmp_path):
    """Over gloo, with the shipped file for a node, changed to two processes on a CPU: losses, their
    drift, weights, memory.
    """
    with held() as whole:
        found = sft.train("s1-tiny-base", traces(20), SHORT, out=tmp_path / "one", progress=False)
    config = yaml.safe_load((Path(sft.__file__).parent / "accelerate" / "node.yaml").read_text())
    assert config["fsdp_config"]["fsdp_version"] == 2 and config["num_processes"] == 8
    config |= {"num_processes": 2, "mixed_precision": "no", "use_cpu": True, "main_process_port": 0}
    (tmp_path / "node.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "shared.py").write_text(SHARED.format(root=str(ROOT)))
    command = ["accelerate.commands.launch", "--config_file", str(tmp_path / "node.yaml")]
    ran = launched(tmp_path, *command, str(tmp_path / "shared.py"), str(tmp_path / "run"))
    assert ran.returncode == 0, ran.stderr[-3000:]
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    differences = [b["loss"] - a for a, b in zip(found.loss, log, strict=True)]
    assert max(map(abs, differences)) < 1e-4 and abs(sum(differences) / len(differences)) < 3e-5
    one, two = (load_file(path / "model.safetensors") for path in (found.path, tmp_path / "run"))
    assert one.keys() == two.keys() and all(
        torch.allclose(one[name], two[name], atol=2e-3) for name in one
    )
    planned = sft.plan(SHORT, 2)
    for rank in "01":
        share = json.loads((tmp_path / f"run.{rank}").read_text())
        for name in ("gradients", "optimiser"):
            assert share[name] / 1e9 == pytest.approx(getattr(planned, name), rel=0.2)
            assert share[name] == pytest.approx(whole[name] / 2, rel=0.2)


@pytest.mark.long
def test_two_processes_from_a_shell_follow_one_and_tell_once(tmp_path):
    lab.curate.write(traces(20), tmp_path / "rows.jsonl")
    command = ["s1lab.sft", "--data", str(tmp_path / "rows.jsonl"), "--epochs", "1"]
    alone = launched(tmp_path, *command, "--out", str(tmp_path / "one"))
    shared = launched(
        tmp_path,
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        *command,
        "--out",
        str(tmp_path / "two"),
    )
    assert alone.returncode == shared.returncode == 0, shared.stderr[-3000:]
    assert alone.stdout.count("the model is in") == shared.stdout.count("the model is in") == 1
    one, two = (
        [json.loads(x)["loss"] for x in (tmp_path / n / "log.jsonl").read_text().splitlines()]
        for n in ("one", "two")
    )
    assert two == pytest.approx(one, abs=1e-4) and len(one) == 2


@pytest.mark.long
def test_a_loss_that_is_no_number_ends_two_processes_too(tmp_path):
    (tmp_path / "poison.py").write_text(
        f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import torch
from transformers import Qwen2ForCausalLM
from s1lab.engines.model_files import load_tokenizer, locate
from s1lab import sft
from tests.sft.test_sft import QUICK, traces
network = Qwen2ForCausalLM.from_pretrained(locate("s1-tiny-base"), dtype=torch.float32)
tokenizer = load_tokenizer("s1-tiny-base")
with torch.no_grad():
    network.model.embed_tokens.weight[tokenizer.encode("&")[0]] = torch.nan
rows = traces(8).to_list()
rows[3]["question"] = "How many & in raspberry?"
from datasets import Dataset
recipe = QUICK.but(epochs=1, per_device=1)
out = {str(tmp_path / "run")!r}
rows = Dataset.from_list(rows)
sft.train(network, rows, recipe, out=out, tokenizer=tokenizer, progress=False)
"""
    )
    ran = launched(
        tmp_path,
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(tmp_path / "poison.py"),
        timeout=120,
    )
    assert ran.returncode != 0 and "became nan at step 1, in row 3:" in ran.stderr


@pytest.mark.long
def test_a_drift_to_one_side_would_be_seen(trained, tmp_path):
    """What the comparisons above must not miss: a loss that is wrong by a factor of 1.0005, or a
    rate by one percent.
    """
    found, _ = trained
    other = sft.train(
        "s1-tiny-base",
        traces(),
        QUICK.but(rate=QUICK.rate * 1.01),
        out=tmp_path / "run",
        progress=False,
    )
    differences = [b - a for a, b in zip(found.loss, other.loss, strict=True)]
    assert max(map(abs, differences)) > 1e-4 and abs(sum(differences) / len(differences)) > 3e-5
    scaled = [0.0005 * loss for loss in found.loss]
    assert sum(scaled) / len(scaled) > 3e-5


def test_packed_rows_do_not_see_each_other(tiny_base):
    rows = sft.encode(traces(24), tiny_base.template, QUICK)
    pad = tiny_base.template.tokenizer.pad_token_id
    alone = []
    with torch.no_grad():
        for row in rows:
            out = tiny_base.network(input_ids=torch.tensor([row["input_ids"]])).logits[0]
            alone.append(out)
        batch = Collator("packed", pad)(list(rows))
        assert len(batch["input_ids"]) < len(rows)
        together = tiny_base.network(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits
    found = 0
    for line, ids in enumerate(batch["input_ids"].tolist()):
        for row, logits in zip(rows, alone, strict=True):
            n = len(row["input_ids"])
            for at in range(len(ids) - n + 1):
                if ids[at : at + n] == row["input_ids"]:
                    assert torch.allclose(together[line, at : at + n], logits, atol=2e-4)
                    found += 1
    assert found == len(rows)


TRAINING = """
import sys
sys.path.insert(0, {root!r})
from tests.sft.test_sft import QUICK, traces
from s1lab import sft
change = {change!r}
if "lora" in change:
    change["lora"] = sft.Lora(**change["lora"])
found = sft.train("s1-tiny-base", traces(), QUICK.but(**change), out=sys.argv[1], progress=False,
    watch=lambda e: print(e["step"], flush=True))
"""


def started(folder: Path, **change) -> subprocess.Popen:
    code = TRAINING.format(root=str(ROOT), change=change)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


@pytest.mark.long
def test_a_killed_run_goes_on_with_the_losses_of_an_uninterrupted_one(trained, tmp_path):
    found, _ = trained
    process = started(tmp_path / "run", save_every=2)
    for line in process.stdout:
        if line.strip() == "5":
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    left = list((tmp_path / "run").glob("checkpoint-*/whole"))
    assert {int(p.parent.name.split("-")[1]) for p in left} & {2, 4} and not (
        tmp_path / "run" / "model.safetensors"
    ).exists()
    steps = []
    again = sft.train(
        "s1-tiny-base",
        traces(),
        QUICK.but(save_every=2),
        out=tmp_path / "run",
        progress=False,
        watch=lambda e: steps.append(e["step"]),
    )
    assert steps[0] in (3, 5) and again.loss == pytest.approx(found.loss, abs=1e-6)
    assert [e["step"] for e in again.log] == list(range(1, 7))


@pytest.mark.long
def test_adapters_are_trained_alone_resumed_and_merged_into_a_model_that_loads(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = QUICK.but(lora=sft.Lora(rank=4, alpha=8), rate=1e-2, save_every=2)
    found = sft.train("s1-tiny-base", traces(), recipe, out=tmp_path / "run", progress=False)
    assert found.loss[-1] < found.loss[0]
    base, tuned = (
        load_file(path / "model.safetensors") for path in (Path(locate("s1-tiny-base")), found.path)
    )
    assert base.keys() == tuned.keys()
    changed = {name.rsplit(".", 2)[-2] for name in base if not torch.equal(base[name], tuned[name])}
    assert changed == set(sft.Lora().modules)  # and neither embeddings nor norms
    adapter = load_file(found.path / "adapter" / "adapter_model.safetensors")
    assert sum(t.numel() for t in adapter.values()) == sft.plan(recipe).trained
    with lab.load(str(found.path)) as engine:
        assert (
            lab.force(engine, "How many r in raspberry?", lab.Budget(max_tokens=20)).error is None
        )
        trained = lab.force(engine, "How many r in raspberry?", lab.Budget(max_tokens=20))
    with lab.load("s1-tiny-base", adapter=found.path / "adapter") as engine:
        merged = lab.force(engine, "How many r in raspberry?", lab.Budget(max_tokens=20))
    assert merged.ids == trained.ids
    with pytest.raises(ValueError, match="was trained on another model than 's1-tiny'"):
        lab.load("s1-tiny", adapter=found.path / "adapter")
    process = started(tmp_path / "again", lora={"rank": 4, "alpha": 8}, rate=1e-2, save_every=2)
    for line in process.stdout:
        if line.strip() == "3":
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    again = sft.train("s1-tiny-base", traces(), recipe, out=tmp_path / "again", progress=False)
    assert again.loss == pytest.approx(found.loss, abs=1e-6)


@pytest.mark.long
def test_a_full_disk_leaves_the_last_whole_checkpoint(tmp_path):
    """A limit on the size of a file, set after the first checkpoint, stands for the full disk."""
    import resource

    def fill(entry):
        if entry["step"] == 3:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = QUICK.but(save_every=2)
    try:
        with pytest.raises(OSError, match=r"can't be written.*checkpoint-2 is whole"):
            sft.train(
                "s1-tiny-base", traces(), recipe, out=tmp_path / "run", progress=False, watch=fill
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    try:  # called again while there is still no room: the log of what was done stays
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(OSError, match=r"checkpoint-2 is whole"):
            sft.train("s1-tiny-base", traces(), recipe, out=tmp_path / "run", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [
        e["step"]
        for e in sft.train(
            "s1-tiny-base", traces(), recipe, out=tmp_path / "run", progress=False
        ).log
    ] == list(range(1, 7))


def test_what_a_killed_run_left_is_removed_by_the_next_call(tmp_path):
    """A half file of its record is no file of another kind, and a half model is written anew."""
    from s1lab.sft.checkpoints import SAVING, WHOLE, finished_run, move_in
    from s1lab.storage.files import _prefix

    names = ("model", "fingerprint", "data", "recipe", "cut")
    made, folder = dict.fromkeys(names, "x"), tmp_path / "run"
    folder.mkdir()
    half = folder / f"{_prefix(folder / 'run.json')}999999999-0.part"
    half.touch()
    assert finished_run(folder, made) is None
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    for name in ("checkpoint-2", "checkpoint-4", SAVING):
        (folder / name).mkdir()
    (folder / "checkpoint-2" / WHOLE).touch()
    (folder / SAVING / "model.safetensors").touch()
    assert finished_run(folder, made) is None
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-2", "run.json"]
    for place, content in (
        (folder, "old"),
        (folder / SAVING, "new"),
    ):  # a call that was killed here
        (place / "adapter").mkdir(parents=True)
        (place / "adapter" / f"{content}.txt").touch()
        (place / "config.json").write_text(content)
    move_in(folder)
    assert (folder / "config.json").read_text() == "new" and not (folder / SAVING).exists()
    assert [path.name for path in (folder / "adapter").iterdir()] == ["new.txt"]


@pytest.mark.long
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_row(tmp_path, tiny_base):
    from transformers import Qwen2ForCausalLM

    network = Qwen2ForCausalLM.from_pretrained(locate("s1-tiny-base"), dtype=torch.float32)
    poison = tiny_base.template.encode("&")[0]
    with torch.no_grad():
        network.model.embed_tokens.weight[poison] = torch.nan
    rows = traces(16).to_list()
    rows[11]["question"] = "How many & in raspberry?"
    recipe = QUICK.but(epochs=1)
    with pytest.raises(FloatingPointError, match=r"became nan at step [12], in row 11:"):
        sft.train(
            network,
            Dataset.from_list(rows),
            recipe,
            out=tmp_path / "run",
            tokenizer=tiny_base.template.tokenizer,
            progress=False,
        )


# plans


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"weights": "bfloat16", "dtype": "bfloat16"},
        {"weights": "bfloat16", "lora": sft.Lora(8)},
    ],
)
def test_the_static_part_of_a_plan_is_what_training_holds(tmp_path, tiny_base, change):
    """Whole weights, low precision and adapters: every byte that sft.train holds after a step,
    within 20 %; they all train.
    """
    from transformers import Qwen2ForCausalLM

    recipe = QUICK.but(epochs=1, **change)
    network = Qwen2ForCausalLM.from_pretrained(
        locate("s1-tiny-base"), dtype=getattr(torch, recipe.weights)
    )
    planned = sft.plan(recipe, model=Qwen2ForCausalLM.from_pretrained(locate("s1-tiny-base")))
    with held() as found:
        trained = sft.train(
            network,
            traces(8),
            recipe,
            out=tmp_path / "run",
            tokenizer=tiny_base.template.tokenizer,
            progress=False,
        )
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    assert weights / 1e9 == pytest.approx(planned.weights, rel=0.2)
    assert found["gradients"] / 1e9 == pytest.approx(planned.gradients, rel=0.2)
    assert found["optimiser"] / 1e9 == pytest.approx(planned.optimiser, rel=0.2)
    assert 0.5 < trained.loss[0] < 2


@pytest.mark.long
def test_adapters_without_peft_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match="adapters, which needs peft: pip install"):
        sft.train(
            "s1-tiny-base",
            traces(8),
            QUICK.but(lora=sft.Lora(4)),
            out=tmp_path / "run",
            progress=False,
        )
    assert not (tmp_path / "run").exists()


def test_plans_of_the_papers_runs():
    """Sixteen H100 held it and eight did not without more (issues 13 and 22 of the original); 7
    GPU-hours, the paper says.
    """
    whole, half = sft.plan("s1-32b", 16), sft.plan("s1-32b", 8)
    assert whole.fits and not half.fits and 32.7e9 < whole.parameters < 32.9e9
    assert (
        "does NOT fit" in str(half)
        and "would fit: gpus=16" in str(half)
        and "would fit" not in str(whole)
    )
    assert 3.5 < 16 * whole.hours < 14
    assert sft.plan("s1-32b", 16).static == pytest.approx(half.static / 2)
    bare = sft.plan(sft.recipe("s1-32b").but(checkpointing=False), 16)
    assert bare.activations > 5 * whole.activations and "checkpointing=True" in str(bare)
    whole_7b = sft.recipe("qwen-7b-lora").but(lora=None, weights="float32")
    assert (
        sft.plan("qwen-0.5b").fits and sft.plan("qwen-7b-lora").fits and not sft.plan(whole_7b).fits
    )
    assert sft.plan("s1.1-32b", 16).activations < whole.activations
    sizes = {
        "hidden_size": 2048,
        "num_hidden_layers": 24,
        "intermediate_size": 8192,
        "vocab_size": 32_000,
    }
    large = sft.plan(
        "tiny", 1, 24.0, model=Qwen2Config(**sizes, num_attention_heads=16, num_key_value_heads=16)
    )
    assert (
        not large.fits and "checkpointing=True" not in large.ways()
    )  # it would do for the recipe's own model
    with pytest.raises(ValueError, match="gpus=0"):
        sft.plan("tiny", 0)
    with pytest.raises(ValueError, match="can't be shared by 24 GPUs"):
        sft.plan("s1-32b", 24)
    assert "gpus=32" not in str(half)  # 32 can't share a batch of 16


# bad input and the shell


@pytest.mark.long
def test_bad_input_is_told_in_one_sentence(tmp_path, trained, tiny):
    rows = traces(8)
    empty = Dataset.from_list([{"question": "Q?", "thinking": " ", "attempt": "4"}])
    masked = Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[-100, -100]]})
    for data, recipe, words in (
        (rows.select_columns(["question", "answer"]), QUICK, "has no traces"),
        (rows.select([]), QUICK, "no rows"),
        (empty, QUICK, "row 0 has no thinking"),
        (masked, QUICK, "row 0 has nothing to learn"),
        (rows, QUICK.but(block=40), "longer than the block"),
        (rows, QUICK.but(pad_token="<|no_pad|>"), "no padding token '<|no_pad|>'"),
        (rows, QUICK.but(batch=8, per_device=3), "can't be shared"),
        (rows.to_list(), QUICK, "the rows are a list"),
        (
            Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[1, 2, 3]]}),
            QUICK,
            "2 ids and 3 labels",
        ),
        (
            Dataset.from_dict({"input_ids": [[1, 99_999]], "labels": [[1, 99_999]]}),
            QUICK,
            "the id 99999",
        ),
        (
            Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[1, -100]]}),
            QUICK,
            "nothing to learn",
        ),
    ):
        with pytest.raises(ValueError) as error:
            sft.train("s1-tiny-base", data, recipe, out=tmp_path / "none", progress=False)
        assert words in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "none").exists()
    found, _ = trained
    with pytest.raises(ValueError, match="holds a run of another data"):
        sft.train("s1-tiny-base", traces(25), QUICK, out=found.path)
    with pytest.raises(ValueError, match="holds a run of another model"):
        sft.train("s1-tiny", traces(), QUICK, out=found.path)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        sft.train("s1-tiny-base", traces(), QUICK.but(rate=1e-4), out=found.path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ValueError, match="no fine-tuning of s1lab"):
        sft.train("s1-tiny-base", traces(), QUICK, out=tmp_path / "full")
    with pytest.raises(ValueError, match="needs its tokenizer"):
        sft.train(tiny.network, traces(), QUICK, out=tmp_path / "x")


@pytest.mark.long
def test_from_a_shell(tmp_path):
    import typer

    app = typer.Typer()
    app.command()(main)
    run = CliRunner().invoke
    planned = run(app, ["--recipe", "s1-32b", "--gpus", "8"])
    assert planned.exit_code == 0 and "does NOT fit" in planned.stdout
    for arguments, words in (
        (["--recipe", "s9", "--plan"], "no recipe"),
        ([], "nothing to train on"),
        (["--data", "no.jsonl"], "no.jsonl: there is no such file"),
    ):
        failed = run(app, arguments)
        assert failed.exit_code == 2 and words in failed.stderr and failed.stderr.count("\n") == 1
    lab.curate.write(traces(16), tmp_path / "rows.jsonl")
    done = run(
        app,
        ["--data", str(tmp_path / "rows.jsonl"), "--epochs", "1", "--out", str(tmp_path / "out")],
    )
    assert (
        done.exit_code == 0
        and "in 1 steps" in done.stdout
        and (tmp_path / "out" / "model.safetensors").exists()
    )


@pytest.mark.long
def test_a_launch_trains_in_processes_of_its_own_and_train_then_finds_it_done(tmp_path):
    """What 02_sft does with ``launch``: two processes on a CPU, the same losses as one, and nothing
    left to train.
    """
    lab.curate.write(traces(20), tmp_path / "rows.jsonl")
    recipe = sft.recipe("tiny").but(epochs=1)
    sft.launch("cpu", "s1-tiny-base", tmp_path / "rows.jsonl", recipe, out=tmp_path / "two")
    rows = lab.curate.read(tmp_path / "rows.jsonl", ())
    began = (tmp_path / "two" / "model.safetensors").stat().st_mtime_ns
    found = sft.train("s1-tiny-base", rows, recipe, out=tmp_path / "two", progress=False)
    assert (tmp_path / "two" / "model.safetensors").stat().st_mtime_ns == began and len(
        found.log
    ) == recipe.steps(20)
    alone = sft.train("s1-tiny-base", rows, recipe, out=tmp_path / "one", progress=False)
    assert found.loss == pytest.approx(alone.loss, abs=1e-4)


@pytest.mark.long
def test_a_launch_refuses_what_it_can_not_do(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no configuration is called '\.\./evil'.*'cpu'"):
        sft.launch("../evil", "s1-tiny-base", "rows.jsonl", "tiny", out=tmp_path)
    with pytest.raises(ValueError, match="only epochs, block, per_device can be changed"):
        sft.launch(
            "cpu", "s1-tiny-base", "rows.jsonl", sft.recipe("tiny").but(rate=1.0), out=tmp_path
        )
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(FileNotFoundError, match=r"no rows at .*rows\.jsonl"):
        sft.launch("cpu", "s1-tiny-base", tmp_path / "rows.jsonl", "tiny", out=tmp_path / "out")
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match="no model is at 's1-tinny'"):
        sft.launch("cpu", "s1-tinny", tmp_path / "rows.jsonl", "tiny", out=tmp_path / "out")
