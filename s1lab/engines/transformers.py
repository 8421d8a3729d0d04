"""The default engine: a transformers model on the CPU or one GPU, with continuous batching.

All rows share one slab of keys and values, one slot a row, each with its own length. A finished row
leaves the batch at once, and a waiting row takes its place. Nothing is padded for that, and only
the last row is copied, into the gap. The keys and values of a finished row are kept for a while.
The same question's next round (after a Wait, after a cut) feeds only the new ids.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from s1lab.budget import whole
from s1lab.driver import interrupt_later
from s1lab.engine import Completion, Progress, Request
from s1lab.engines import limits
from s1lab.engines.batch_row import Row
from s1lab.engines.end_of_sequence import end_ids, end_ids_of
from s1lab.engines.fingerprint import fingerprint, fingerprint_of
from s1lab.engines.finite import check_finite
from s1lab.engines.grouped_attention import grouped
from s1lab.engines.kv_cache import Slab
from s1lab.engines.model_files import load_network, load_tokenizer
from s1lab.engines.prefix_cache import Shelf
from s1lab.engines.sampling import Choice, cut, logprobs
from s1lab.engines.torch_threads import few_threads
from s1lab.engines.vocabulary import check_embeddings
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import bind

PREFILL_IDS = 16_384
FEW_IDS = 8
ROW_IDS = 1_024  # a usual row, for the size of the prefix cache


class TransformersEngine:
    """An engine on ``transformers`` that decodes many requests as one batch.

    Args:
        model: "s1-tiny", "s1-tiny-base", a folder or a hub id; or a loaded model.
        tokenizer: The tokenizer of a loaded model, which needs one.
        template: As in `s1lab.load`.
        chat_template_kwargs: As in `s1lab.load`.
        allow_special: As in `s1lab.load`.
        dtype: "auto" is the model's own on a GPU and float32 on a CPU, where bfloat16 may be ten
            times slower.
        device: None is "cuda" if there is a GPU, else "cpu".
        max_batch: The most rows that are decoded together.
        max_model_len: A shorter context than the model's own, in tokens.
        kv_bytes: The most memory for keys and values, in bytes: those of the rows that are decoded
            and those kept of finished rows. Where it is full, fewer rows are decoded together, or
            ids are fed again. None is a quarter of the machine's memory, or half of a GPU's free
            memory.
        keep_bytes: How much of it finished rows may take: the prefix cache. None is half, at most
            what ``2 * max_batch`` rows of 1,024 ids take. 0 keeps none.
        trust_remote_code: Whether code that the model's files name may run. It has all your rights
            on this machine.

    Raises:
        ValueError: An option is wrong, or the model has layers that this engine can't batch.
        ModelFilesError: Files are missing, broken or not of one model. It is a ValueError and a
            FileNotFoundError.

    Example:
        >>> import s1lab as lab
        >>> engine = lab.load("s1-tiny", engine="transformers", max_batch=8)
        >>> engine.context
        4096
    """

    name = "transformers"

    def __init__(
        self,
        model: str | Path | PreTrainedModel,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        template: str | ThinkTemplate | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        allow_special: bool = False,
        dtype: str | torch.dtype = "auto",
        device: str | None = None,
        max_batch: int = 64,
        max_model_len: int | None = None,
        kv_bytes: int | None = None,
        keep_bytes: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        if not isinstance(trust_remote_code, bool):
            raise ValueError(f"trust_remote_code={trust_remote_code!r}: give True or False")
        if (max_batch := whole("max_batch", max_batch, 1, 64)) < 1:
            raise ValueError(f"max_batch={max_batch}: give a whole number of at least 1")
        device, dtype = limits.device_of(device), limits.dtype_of(dtype)
        limits.kv_bytes_of(kv_bytes, keep_bytes, device)  # a bad one is refused before the loading
        if isinstance(model, PreTrainedModel):
            if tokenizer is None:
                raise ValueError("a loaded model comes with tokenizer=its tokenizer")
            self.network, self._from_files = model, False
            self.model = model.name_or_path or type(model).__name__
        else:
            self.model, self._from_files = str(model), True
            if dtype == "auto" and device == "cpu":
                dtype = torch.float32
            tokenizer = load_tokenizer(self.model, trust_remote_code=trust_remote_code)
            self.network = load_network(self.model, dtype, trust_remote_code=trust_remote_code)
        self._prepare(device)
        self.kv_bytes = limits.kv_bytes_of(kv_bytes, keep_bytes, device)
        config = self.network.config
        self.template = bind(
            template,
            tokenizer,
            end_ids(self.model, tokenizer)
            if self._from_files
            else end_ids_of(self.network, tokenizer),
            chat_template_kwargs=chat_template_kwargs,
            allow_special=allow_special,
        )
        embeddings: Any = self.network.get_input_embeddings()
        self._embedded = int(embeddings.weight.shape[0])
        check_embeddings(self.model, self.template, self._embedded)
        own = int(config.max_position_embeddings)
        if max_model_len is not None and not (
            1 <= (max_model_len := whole("max_model_len", max_model_len, 1, own)) <= own
        ):
            raise ValueError(
                f"max_model_len={max_model_len!r} is outside the model's 1 to {own}: leave it out "
                "to use all of it"
            )
        self.context = max_model_len or own
        self.device, self.width = torch.device(device), max_batch
        self.dtype = self.network.dtype
        self.vocabulary = len(tokenizer)  # ids past it (Qwen's padding rows) can't be sampled
        # Ids of requests that were read, and those taken from the cache; ids that were written,
        # without and with the stops; steps.
        self.counts = {"fed": 0, "reused": 0, "sampled": 0, "decoded": 0, "steps": 0}
        self._stepped = 0.0  # the time at which the last step ended
        self._rows: list[Row] = []
        self._slab = Slab(config.num_hidden_layers)
        self._shelf = Shelf(self._share(keep_bytes))
        self._slab.most_bytes = self.kv_bytes - self._shelf.most_bytes
        self._queue = deque[Row]()

    def _prepare(self, device: str) -> None:
        """Move the network to its device, and check that this engine can run it."""
        self.network = self.network.to(device).eval()  # type: ignore[arg-type]
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        check_finite(self.model, self.network)
        limits.check_layers(self.model, self.network.config)

    @torch.inference_mode()
    def _share(self, keep_bytes: int | None) -> int:
        """How much of the memory finished rows get. One pass tells what an id takes."""
        self._slab.reserve(1, 1)
        with few_threads(self.network), grouped(self.network):
            place = torch.zeros(1, dtype=torch.long, device=self.device)
            self._forward(place[:, None], place, 0, 1, logits=False)
        if keep_bytes is not None:
            return keep_bytes
        return min(self.kv_bytes // 2, 2 * self.width * ROW_IDS * self._slab.bytes_per_id)

    def submit(self, key: int, request: Request) -> None:
        row = Row(key, request, list(request.ids), Choice(request, self.vocabulary))
        row.error = limits.misfit(request, self.context, self._embedded)
        if kept := self._shelf.best(row.ids):
            row.kept = kept
            kept.wanted += 1
        # A later round goes before new questions: its cache is still there, and questions that were
        # started are finished first.
        (self._queue.appendleft if row.kept else self._queue.append)(row)

    @torch.inference_mode()
    def poll(self) -> list[tuple[int, Completion | Progress]]:
        with interrupt_later(), few_threads(self.network), grouped(self.network):
            told: list[tuple[int, Completion | Progress]] = [*self._admit()]
            if self._rows:
                told += self._decode()
            for row in self._rows:
                if row.request.partial and row.told < row.written:
                    told.append((row.key, row.progress()))
        return told

    @torch.inference_mode()
    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        if keys is None:
            dropped = [*self._queue, *self._rows]
            for row in self._queue:
                row.want_no_more()
            self._queue.clear()
            self._rows.clear()
        else:
            gone = set(keys)
            dropped = [row for row in (*self._queue, *self._rows) if row.key in gone]
            self._queue = deque(row for row in self._queue if row.key not in gone)
            for row in dropped:
                row.want_no_more()
            for slot in range(len(self._rows) - 1, -1, -1):
                if self._rows[slot].key in gone:
                    self._leave(slot)
        return {
            row.key: row.completion(cancelled=not row.error, now=self._stepped) for row in dropped
        }

    def close(self) -> None:
        """Free the model. Closing twice is allowed."""
        self.cancel()
        self._shelf.clear()
        self._slab = Slab(0)
        self.__dict__.pop("network", None)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.model) if self._from_files else fingerprint_of(self.network)

    @property
    def semantics(self) -> str:
        return (
            f"{self.name} {str(self.dtype).removeprefix('torch.')} "
            f"{torch.device(self.device).type} 2"
        )

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.network.parameters())
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.name} engine: {self.model}, {size:,} weights, {dtype} on {self.device}, "
            f"context {self.context}, keys and values up to {self.kv_bytes / 1e9:.1f} GB"
        )

    def __enter__(self) -> TransformersEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _admit(self) -> list[tuple[int, Completion]]:
        """Give the free slots to waiting rows: copy in cached ids, and feed the others at once."""
        failed = []
        start = len(self._rows)
        while self._queue and len(self._rows) < self.width:
            row = self._queue.popleft()
            longest = max(len(r.ids) for r in (row, *self._rows)) + 1
            if not row.error and not self._slab.reserve(len(self._rows) + 1, longest):
                if self._rows:
                    self._queue.appendleft(row)
                    break
                row.error = limits.no_room(len(row.ids), self._slab.bytes_per_id, self.kv_bytes)
            kept = row.want_no_more()
            if row.error:
                failed.append((row.key, row.completion()))
                continue
            if kept and not kept.layers:  # it was dropped meanwhile, perhaps not the only one
                kept = self._shelf.best(row.ids)
            if kept:
                row.fed, row.parent = min(kept.common(row.ids), len(row.ids) - 1), kept
                self._slab.restore(len(self._rows), kept, row.fed)
                if not row.written:
                    row.reused = row.fed
                    self.counts["reused"] += row.fed
            self._rows.append(row)
        fresh = self._rows[start:]
        if not fresh:
            return failed
        # Feed all but each row's last id, whose logits the next decoding step needs. A few new ids
        # (a Wait, a close) need no pass of their own: decoding feeds them one by one with the other
        # rows.
        if max(r.pending for r in fresh) <= FEW_IDS:
            return failed
        while (width := max(r.pending for r in fresh) - 1) > 0:
            width = min(width, max(1, PREFILL_IDS // len(fresh)))  # bounds the memory of one pass
            length = min(max(r.fed for r in fresh) + width, self._slab.capacity)
            pieces = [r.ids[r.fed : -1][:width] for r in fresh]
            ids = torch.tensor([p + [0] * (width - len(p)) for p in pieces], device=self.device)
            starts = torch.tensor([r.fed for r in fresh], device=self.device)
            self._forward(ids, starts, start, length, logits=False)
            for row, piece in zip(fresh, pieces, strict=True):
                row.fed += len(piece)
                self.counts["fed"] += len(piece)
        return failed

    def _make_room(self) -> list[tuple[int, Completion]]:
        """Make room for one more id a row. Rows for which there is none wait; they begin again."""
        while not self._slab.reserve(len(self._rows), max(r.fed for r in self._rows) + 1):
            row = self._rows.pop()
            row.fed = row.reused = 0
            if not self._rows:
                row.error = limits.no_room(len(row.ids), self._slab.bytes_per_id, self.kv_bytes)
                return [(row.key, row.completion())]
            self._queue.appendleft(row)
        return []

    def _decode(self) -> list[tuple[int, Completion]]:
        """Feed every row its next id, and choose a new id for rows with no ids left to feed."""
        if failed := self._make_room():
            return failed
        rows = self._rows
        length = max(r.fed for r in rows) + 1
        ids = torch.tensor([[r.ids[r.fed]] for r in rows], device=self.device)
        starts = torch.tensor([r.fed for r in rows], device=self.device)
        logits = self._forward(ids, starts, 0, length)[:, -1]
        self.counts["steps"] += 1
        self.counts["fed"] += sum(r.fed < len(r.request.ids) for r in rows)
        for row in rows:
            row.fed += 1
        chosen = self._choose(rows, logits[:, : self.vocabulary])
        self._note_logprobs(rows, logits, chosen)
        now = self._stepped = time.perf_counter()
        finished = []
        for slot in range(len(rows) - 1, -1, -1):
            row, token = rows[slot], chosen[slot]
            if row.pending:
                continue
            self.counts["decoded"] += 1
            row.began = row.began or now
            stopped = token in row.request.stop
            if not stopped:
                row.ids.append(token)
                row.choice.add(token)
            if stopped or row.written == row.request.max_tokens:
                finished.append((row.key, row.completion(token if stopped else None, now=now)))
                self._leave(slot)
        return finished

    def _leave(self, slot: int) -> None:
        """Take a row out of the batch; the last one moves into its slot."""
        rows = self._rows
        row = rows[slot]
        self.counts["sampled"] += row.written
        if self._shelf.most_bytes and row.fed:
            self._shelf.put(self._slab.copy(slot, row.ids[: row.fed]), row.parent)
        self._slab.move(len(rows) - 1, slot)
        rows[slot] = rows[-1]
        rows.pop()

    def _forward(
        self, ids: torch.Tensor, starts: torch.Tensor, slot: int, length: int, logits: bool = True
    ) -> torch.Tensor:
        """Run the model on new ids of some rows.

        Args:
            ids: [rows, width], the ids to feed.
            starts: [rows], the position of each row's first id.
            slot: The first of the rows' slots.
            length: The most ids of a row that attention looks at.
            logits: False runs the model without its output layer.

        Returns:
            Logits of the last position, [rows, 1, vocabulary].
        """
        positions = starts[:, None] + torch.arange(ids.shape[1], device=self.device)
        # What fills up a shorter row is written where its next ids will be, or at the very end.
        positions = positions.clamp(max=self._slab.capacity - 1)
        # [rows, 1, width, length]
        mask = torch.arange(length, device=self.device) <= positions[:, None, :, None]
        self._slab.aim(slot, ids.shape[0], positions, length)
        body = self.network if logits else self.network.base_model
        extra: dict[str, Any] = {"logits_to_keep": 1} if logits else {}
        out = body(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._slab,
            use_cache=True,
            **extra,
        )
        return out[0]  # type: ignore[no-any-return]

    def _choose(self, rows: list[Row], logits: torch.Tensor) -> list[int]:
        """Choose one id a row.

        A row that is still being fed draws no random number, so its numbers do not depend on what
        was cached.
        """
        chosen: list[int] = logits.argmax(-1).tolist()
        for i, row in enumerate(rows):
            if not row.pending and not row.choice.plain(row.written):
                adjusted = row.choice.adjusted(logits[i].float(), row.written)
                chosen[i] = int(adjusted.argmax())
        return chosen

    def _note_logprobs(self, rows: list[Row], logits: torch.Tensor, chosen: list[int]) -> None:
        """Keep the log-probabilities of rows that asked for them; ``logits`` is [rows, all ids]."""
        asked = [i for i, r in enumerate(rows) if r.request.logprobs is not None and not r.pending]
        if not asked:
            return
        most = max(rows[i].request.logprobs or 0 for i in asked)
        if len(asked) < len(rows):
            logits = logits[asked]
        found = logprobs(logits, [chosen[i] for i in asked], most)
        for i, words in zip(asked, found, strict=True):
            rows[i].logprobs += cut(words, most, rows[i].request.logprobs or 0).tobytes()
