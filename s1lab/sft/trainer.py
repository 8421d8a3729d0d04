"""Fine-tuning by trl's trainer, with the recipe's settings and a log."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors import SafetensorError
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, set_seed
from trl import SFTConfig, SFTTrainer

from s1lab.curate.io import digest
from s1lab.engines.adapter_files import BASE
from s1lab.engines.end_of_sequence import end_ids, end_ids_of
from s1lab.engines.fingerprint import fingerprint, fingerprint_of
from s1lab.engines.model_files import load_network, load_tokenizer
from s1lab.sft.card import card
from s1lab.sft.checkpoints import (
    SAVING,
    Keeper,
    Trained,
    Watch,
    finished_run,
    last_whole,
    move_in,
    read_log,
    record,
    remove_broken,
)
from s1lab.sft.collator import Collator
from s1lab.sft.encode import IGNORED, encode
from s1lab.sft.recipes import Recipe
from s1lab.sft.recipes import recipe as recipe_of
from s1lab.storage.files import local
from s1lab.tokenization.bound_template import bind


def train(
    model: str | PreTrainedModel,
    dataset: Dataset,
    recipe: str | Recipe = "tiny",
    *,
    out: str | Path | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    cut: bool = False,
    watch: Watch | None = None,
    progress: bool = True,
) -> Trained:
    """Fine-tune a model on traces.

    The model, its card, its log and its checkpoints are written to ``out``. If the call was killed,
    the same call resumes from the last whole checkpoint, with the losses of an uninterrupted run.
    If the run is finished, the call returns its result.

    Args:
        model: An embedded name, a folder, a hub id, or a model in memory with its ``tokenizer``. A
            model in memory is trained in place.
        dataset: As in `s1lab.sft.encode`. The values of a column ``format``
            (`s1lab.sft.formats`) are written into the model's config.
        recipe: A recipe, or its name.
        out: A folder, "runs/sft/RECIPE" if None. With several nodes it is on a disk that all of
            them share.
        tokenizer: The tokenizer of a model in memory.
        cut: As in `s1lab.sft.encode`.
        watch: Called with the log entry of each step, for a live figure.
        progress: Whether to show a progress bar.

    Returns:
        The fine-tuned model: its folder, its log and its record.

    Raises:
        ValueError: If the folder holds another run, the dataset does not fit, or the processes
            can't share a batch.
        FloatingPointError: If the loss is not a number. The error names the step and the row.
        OSError: If a checkpoint can't be written. The last whole one stays.

    Example:
        rows, _ = lab.curate.traces(lab.tiny.Teacher(), lab.tiny.problems(40, split="train"))
        trained = lab.sft.train("s1-tiny-base", rows, "tiny", out="runs/sft/tiny")
        engine = lab.load(trained.path)
    """
    chosen = recipe_of(recipe)
    folder = local(out if out is not None else f"runs/sft/{chosen.name}")
    arguments = _arguments(chosen, folder, progress)
    # Reading this joins the other processes. Only after that does a sharded model load its weights
    # in one process alone.
    processes = arguments.world_size
    network, words = _loaded(model, tokenizer, chosen)
    attention = str(getattr(network.config, "_attn_implementation", ""))
    if chosen.batches == "packed" and "flash" in attention:
        raise ValueError(
            f"packed batches keep rows apart by a mask, which {attention} does not take: use the "
            "recipe with batches='flat'"
        )
    _set_padding(words, chosen)
    ends = end_ids(model, words) if isinstance(model, str) else end_ids_of(network, words)
    rows = encode(dataset, bind(chosen.template, words, ends), chosen, cut=cut)
    made = _made(model, network, chosen, rows, cut)
    # for conditional control: s1lab.methods.conditional reads them from the model's config
    if "format" in dataset.column_names:
        made["formats"] = sorted(set(dataset["format"]))
        network.config.s1lab_formats = made["formats"]
    # the main process makes the folder, or finds a run there that the others must know of
    with arguments.main_process_first(local=False):
        finished = finished_run(folder, made)
    if finished is not None:
        return finished
    set_seed(chosen.seed)
    if chosen.lora is not None:
        network = _with_adapters(network, chosen)
    keeper = Keeper(folder, watch)
    if processes > 1:
        rows = _filled(rows, chosen.batch, words.pad_token_id)
    trainer = _trainer(network, arguments, rows, words, chosen, keeper)
    last = last_whole(folder)
    with _full_disk(folder):
        keeper.go_back_to(int(last.name.rpartition("-")[2]) if last else 0)
        with _without_bars(progress):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.is_world_process_zero():
            made |= {
                "seconds": round(keeper.seconds, 1),
                "loss": [keeper.log[0]["loss"], keeper.log[-1]["loss"]],
            }
        with _without_bars(False):
            _save(trainer, words, folder, made)
        # a launcher ends all processes when the first one ends
        trainer.accelerator.wait_for_everyone()
    return Trained(folder, keeper.log or read_log(folder), made)


def _made(
    model: str | PreTrainedModel, network: PreTrainedModel, recipe: Recipe, rows: Dataset, cut: bool
) -> dict[str, Any]:
    """Record what a run is made of. A call with another record does not resume it."""
    named = isinstance(model, str)
    packages = ["torch", "transformers", "trl", "accelerate", "datasets"]
    return {
        "recipe": asdict(recipe),
        "model": model if named else network.config.name_or_path or "in memory",
        "fingerprint": fingerprint(model) if isinstance(model, str) else fingerprint_of(network),
        "data": digest(rows),
        "rows": len(rows),
        "tokens": sum(map(len, rows["input_ids"])),
        "cut": cut,
        "steps": recipe.steps(len(rows)),
        "versions": {name: version(name) for name in packages + ["peft"] * bool(recipe.lora)},
    }


def _trainer(
    network: Any,
    arguments: SFTConfig,
    rows: Dataset,
    words: PreTrainedTokenizerBase,
    recipe: Recipe,
    keeper: Keeper,
) -> _Trainer:
    made = _Trainer(
        network,
        args=arguments,
        train_dataset=rows,
        processing_class=words,
        data_collator=Collator(recipe.batches, words.pad_token_id),
        callbacks=[keeper],
    )
    made.remove_callback(PrinterCallback)
    return made


@contextlib.contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    """Turn a failure to write a checkpoint into a sentence. The last whole one stays."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as why:
        words = str(why).lower()
        if isinstance(why, RuntimeError) and "file" not in words and "write" not in words:
            raise
        remove_broken(folder)
        kept = last_whole(folder)
        raise OSError(
            f"a checkpoint can't be written to {folder}: {str(why).splitlines()[0]}. "
            + (f"{kept.name} is whole" if kept else "No whole one is there")
            + ": make room and call again"
        ) from why


def _filled(rows: Dataset, batch: int, pad: int) -> Dataset:
    """Add rows without anything to learn, until the last batch is whole.

    If processes share a batch, accelerate would fill a short one with rows of its own choice, and
    they would be learned.
    """
    lacking = -len(rows) % batch
    nothing = {"input_ids": [pad, pad], "labels": [IGNORED, IGNORED], "row": -1}
    return Dataset.from_list([*rows, *[nothing] * lacking]) if lacking else rows


class _Order(Sampler[int]):
    """The order of the rows in each epoch.

    It is the same on any number of processes. Rows with nothing to learn come last.
    """

    def __init__(self, rows: Dataset, seed: int) -> None:
        self.rows, self.seed, self.epoch = len(rows), seed, 0
        self.real = sum(row >= 0 for row in rows["row"])

    def __len__(self) -> int:
        return self.rows

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        yield from torch.randperm(self.real, generator=generator).tolist()
        yield from range(self.real, self.rows)


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """trl's trainer that stops at a loss that is not a number, and takes rows in our order."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> _Order:
        return _Order(
            self.train_dataset if train_dataset is None else train_dataset, self.args.seed
        )

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        rows = inputs.pop("rows").tolist()
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            # With several processes, none may compute alone: the others would wait for its part.
            alone = self.args.world_size == 1
            guilty = (
                [row for row in rows if not math.isfinite(self._loss_of(model, row))]
                if alone
                else rows
            )
            named = guilty if 0 < len(guilty) < len(rows) else rows
            where = (
                f"row {named[0]}"
                if len(named) == 1 or named is guilty
                else f"the batch of rows {sorted(rows)}"
            )
            raise FloatingPointError(
                f"the loss became {loss.item()} at step {self.state.global_step + 1}, in {where}: "
                f"look at it, or lower the rate ({self.args.learning_rate:g}); the last whole "
                "checkpoint stays"
            )
        return loss

    @torch.no_grad()
    def _loss_of(self, model: Any, row: int) -> float:
        batch = self.data_collator([self.train_dataset[row]])
        batch.pop("rows")
        inputs = self._prepare_inputs(batch)
        return float(self.compute_loss(model, inputs))


@contextlib.contextmanager
def _without_bars(shown: bool) -> Iterator[None]:
    """Hide the progress bar of each file that is written."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


def _loaded(
    model: str | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, recipe: Recipe
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if isinstance(model, PreTrainedModel):
        if tokenizer is None:
            raise ValueError("a model in memory needs its tokenizer=")
        return model, tokenizer
    network = load_network(model, getattr(torch, recipe.weights))
    return network, tokenizer or load_tokenizer(model)


def _set_padding(words: PreTrainedTokenizerBase, recipe: Recipe) -> None:
    """Set the token that fills up batches.

    Raises:
        ValueError: If the tokenizer has no token of the recipe's name, or no padding token at all.
    """
    if recipe.pad_token is not None:
        if recipe.pad_token not in words.get_vocab():
            raise ValueError(
                f"the tokenizer has no padding token {recipe.pad_token!r}: set the recipe's "
                "pad_token, or None for its own"
            )
        words.pad_token = recipe.pad_token
    if words.pad_token is None:
        raise ValueError(
            "the tokenizer has no padding token: name one in the recipe, "
            "sft.recipe(...).but(pad_token=...)"
        )


def _with_adapters(network: PreTrainedModel, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = recipe.lora
    assert lora is not None
    return get_peft_model(
        network,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.modules),
            task_type="CAUSAL_LM",
        ),
    )


def _arguments(recipe: Recipe, folder: Path, progress: bool) -> SFTConfig:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if recipe.lora and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise ValueError(
            "adapters are not trained sharded here: launch with torchrun, or with accelerate's "
            "gpu.yaml"
        )
    if recipe.lora and find_spec("peft") is None:
        raise ImportError("this recipe trains adapters, which needs peft: pip install 's1lab[sft]'")
    per_device, accumulated = recipe.shared(processes)
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=accumulated,
        learning_rate=recipe.rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        adam_beta1=recipe.betas[0],
        adam_beta2=recipe.betas[1],
        weight_decay=recipe.decay,
        bf16=recipe.dtype == "bfloat16",
        max_length=None,  # encode has checked the rows against the block already
        gradient_checkpointing=recipe.checkpointing,
        use_cpu=not torch.cuda.is_available(),
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="epoch" if recipe.save_every is None else "steps",
        save_steps=recipe.save_every or 500,
        save_total_limit=2,
        disable_tqdm=not progress,
        report_to="none",
        seed=recipe.seed,
    )


def _save(
    trainer: _Trainer, words: PreTrainedTokenizerBase, folder: Path, made: dict[str, Any]
) -> None:
    """Save the model, its tokenizer and its card, and mark the run finished.

    The checkpoints are removed. Adapters are written to ``adapter/`` and merged into the model,
    which then loads on any engine.
    """
    half = folder / SAVING
    trainer.save_model(str(half / "adapter" if made["recipe"]["lora"] else half))
    if not trainer.is_world_process_zero():
        return
    if made["recipe"]["lora"]:
        (half / "adapter" / BASE).write_text(f"{made['fingerprint']}\n", encoding="utf-8")
        trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().save_pretrained(half)
    words.save_pretrained(half)
    (half / "README.md").write_text(card(made), encoding="utf-8")
    move_in(folder)
    record(folder, made)
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path)
