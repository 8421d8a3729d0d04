"""vLLM in this process, driven through its own ``add_request`` and ``step``.

A question's next round joins the batch at once. Prefix caching is on, so a round after a Wait or a
cut finds its keys and values again, except for the last block. vLLM's core runs in this process too
(vLLM would start another): nothing is left behind, an interrupt can't kill it in the middle of a
step, and the loop needs no messages. With tensor or pipeline parallelism vLLM has a worker a rank.
"""

from __future__ import annotations

import gc
import itertools
import time
import weakref
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from s1lab.driver import interrupt_later
from s1lab.engine import MOST_LOGPROBS, Completion, Progress, Request, Usage
from s1lab.engines.end_of_sequence import end_ids
from s1lab.engines.fingerprint import fingerprint
from s1lab.engines.finite import not_numbers
from s1lab.engines.limits import dtype_of, misfit
from s1lab.engines.model_files import check_unread, load_tokenizer
from s1lab.engines.model_names import locate
from s1lab.engines.vllm_flight import Flight
from s1lab.engines.vllm_load import check_options, import_vllm, set_invariant, start
from s1lab.engines.vocabulary import check_embeddings, outside, rows_of
from s1lab.engines.weights import ModelFilesError
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import bind

_LIVE: weakref.WeakSet[VllmEngine] = weakref.WeakSet()
# Options that change the written ids.
DECIDING = ("revision", "quantization", "kv_cache_dtype", "hf_overrides", "speculative_config")
CPU_OPTIONS = {
    "kv_cache_memory_bytes": 2 * 1024**3,
    "block_size": 32,  # ids in a cache block; vLLM's 128 for CPUs is too large for short prefixes
    "enforce_eager": True,
}


class VllmEngine:
    """An engine on vLLM, with vLLM's own continuous batching.

    One process has one vLLM model. Loading another closes the previous one, for example when a
    notebook's cell is run again.

    Args:
        model: "s1-tiny", "smollm2", a folder, a GGUF file or a hub id.
        template: As in `s1lab.load`.
        chat_template_kwargs: As in `s1lab.load`.
        allow_special: As in `s1lab.load`.
        dtype: "auto" is float32 on a CPU and the model's own on a GPU. The paper's final runs used
            "float32".
        tensor_parallel_size: How many GPUs (or CPU sockets) each layer is spread over.
        pipeline_parallel_size: How many groups of them the layers are spread over.
        max_model_len: A shorter context than the model's own, in tokens.
        deterministic: Whether to use vLLM's batch-invariant mode: no bit of a trace depends on
            what else is in the batch. It is refused where this vLLM or the card lacks it.
        trust_remote_code: Whether code that the model's files name may run. It has all your rights
            on this machine.
        options: Options of vLLM's ``EngineArgs``, by their own names: gpu_memory_utilization,
            max_num_seqs, quantization and so on.

    Raises:
        ImportError: vLLM is missing, or its version is outside ``SUPPORTED``.
        ValueError: An option is wrong, or vLLM can't load the model.
        ModelFilesError: Files are missing, broken or not of one model.

    Example:
        engine = lab.load("s1-tiny", engine="vllm", dtype="float32")
    """

    name = "vllm"

    def __init__(
        self,
        model: str,
        *,
        template: str | ThinkTemplate | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        allow_special: bool = False,
        dtype: str = "auto",
        tensor_parallel_size: int = 1,
        pipeline_parallel_size: int = 1,
        max_model_len: int | None = None,
        deterministic: bool = False,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(trust_remote_code, bool):
            raise ValueError(f"trust_remote_code={trust_remote_code!r}: give True or False")
        dtype = str(dtype_of(dtype)).removeprefix("torch.")
        self._version = import_vllm()
        self.deterministic = set_invariant(deterministic)
        from vllm.platforms import current_platform

        self.model = str(model)
        self.parallel = {
            "tensor_parallel_size": tensor_parallel_size,
            "pipeline_parallel_size": pipeline_parallel_size,
        }
        tokenizer = load_tokenizer(self.model, trust_remote_code=trust_remote_code)
        where = locate(self.model)
        self.template = bind(
            template,
            tokenizer,
            end_ids(self.model, tokenizer),
            chat_template_kwargs=chat_template_kwargs,
            allow_special=allow_special,
        )
        cpu = current_platform.is_cpu()
        if cpu:
            options = CPU_OPTIONS | options
            # Else log-probabilities wait for a C++ compiler, which fails where a path has a space.
            current_platform.simple_compile_backend = "eager"
            dtype = "float32" if dtype == "auto" else dtype
        arguments = {
            "model": where,
            "dtype": dtype,
            **self.parallel,
            "max_model_len": max_model_len,
            "enable_prefix_caching": True,
            # The model's own config would add its temperature and penalties.
            "generation_config": "vllm",
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            # Before temperature, penalties and masks, as Logprobs promises.
            "logprobs_mode": "raw_logprobs",
            "max_logprobs": MOST_LOGPROBS,
            "trust_remote_code": trust_remote_code,
        }
        check_options(options)
        if options.get("load_format", "auto") in ("auto", "safetensors"):
            check_unread(self.model, trust_remote_code=trust_remote_code)
        rows = rows_of(self.model)
        if rows is not None:
            check_embeddings(self.model, self.template, rows)
        for other in list(_LIVE):
            other.close()
        self.llm, bad = start(self.model, arguments | options)
        _LIVE.add(self)
        if bad:
            self.close()
            raise ModelFilesError(not_numbers(self.model, bad))
        config = self.llm.model_config
        self.context, self.dtype = int(config.max_model_len), config.dtype
        self.width = int(self.llm.vllm_config.scheduler_config.max_num_seqs)
        self.device = "cpu" if cpu else current_platform.device_type
        self._options = options
        self._vocabulary = len(tokenizer)
        self._embedded = int(config.get_vocab_size())
        self._outside = outside(self._vocabulary, self._embedded)
        if rows is None:  # the files need their own code to say it
            check_embeddings(self.model, self.template, self._embedded)
        self._flying: dict[str, Flight] = {}
        self._unbegun: set[str] = set()  # names of requests that have no first id yet
        self._ready: list[tuple[int, Completion]] = []
        self._names = itertools.count()

    def submit(self, key: int, request: Request) -> None:
        if self.llm is None:
            raise RuntimeError(
                "this vLLM engine is closed, by close() or by loading another one: load it again"
            )
        if error := misfit(request, self.context, self._embedded):
            self._ready.append((key, Completion((), error=error, usage=Usage())))
            return
        self._launch(Flight(key, request))

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        told: list[tuple[int, Completion | Progress]] = [*self._ready]
        self._ready.clear()
        if not self._flying:
            return told
        with interrupt_later():
            outputs = self.llm.step()
        self._note_beginnings(now := time.perf_counter())
        for output in outputs:
            flight = self._flying.get(output.request_id)
            if flight is None:
                continue
            written = output.outputs[0]
            # All ids at the end, or the new ones after each step if the request is partial.
            flight.add(list(written.token_ids), written.logprobs)
            if output.finished:
                del self._flying[output.request_id]
                self._unbegun.discard(output.request_id)
                flight.spend(len(output.prompt_token_ids), output.num_cached_tokens, now)
                self._land(flight, written.finish_reason)
            elif progress := flight.progress():
                told.append((flight.key, progress))
        told += self._ready
        self._ready.clear()
        return told

    def _launch(self, flight: Flight) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        request, written = flight.request, flight.written
        # A request that is launched again would count its penalties anew: it has the mask at once.
        masked = flight.tries or request.banned or (request.penalised and self._outside)
        allowed = None
        if masked:
            allowed = [i for i in range(self._vocabulary) if i not in request.banned]
        options = {"flat_logprobs": True} if "flat_logprobs" in _fields(SamplingParams) else {}
        sampling = SamplingParams(
            max_tokens=request.max_tokens - len(written),
            min_tokens=max(0, request.min_tokens - len(written)),
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            min_p=request.min_p,
            repetition_penalty=request.repetition_penalty,
            presence_penalty=request.presence_penalty,
            frequency_penalty=request.frequency_penalty,
            logprobs=request.logprobs,
            seed=request.seed + flight.tries if request.temperature > 0 else None,
            stop_token_ids=sorted(request.stop | self._outside),
            allowed_token_ids=allowed,
            ignore_eos=True,  # the request names its stops, the end of sequence included
            detokenize=False,
            output_kind=RequestOutputKind.DELTA
            if request.partial
            else RequestOutputKind.FINAL_ONLY,
            **options,
        )
        name = f"s1lab-{next(self._names)}"
        self._flying[name] = flight
        self._unbegun.add(name)
        flight.launched = len(written)
        try:
            self.llm.add_request(name, {"prompt_token_ids": [*request.ids, *written]}, sampling)
        except ValueError as why:
            del self._flying[name]
            self._unbegun.discard(name)
            error = f"vLLM refuses the request: {why}"
            self._ready.append((flight.key, flight.completion(error=error)))

    def _land(self, flight: Flight, reason: str) -> None:
        stop = flight.written.pop() if reason == "stop" else None
        if stop in self._outside:
            # Qwen's models have rows beyond their vocabulary and sometimes choose one. Such an id
            # can't be decoded: continue from here with all of them masked. The mask needs the whole
            # vocabulary, so it is only used after this happened.
            flight.tries += 1
            del flight.logprobs[len(flight.written) :]
            self._launch(flight)
        elif reason in ("stop", "length"):
            self._ready.append((flight.key, flight.completion(stop)))
        else:
            error = f"vLLM ended the request: {reason}"
            self._ready.append((flight.key, flight.completion(error=error)))

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        gone = None if keys is None else set(keys)
        dropped = {key: done for key, done in self._ready if gone is None or key in gone}
        self._ready = [pair for pair in self._ready if pair[0] not in dropped]
        names = [n for n, f in self._flying.items() if gone is None or f.key in gone]
        for name in names:
            flight = self._flying.pop(name)
            self._unbegun.discard(name)
            state = self._state(name)
            if state and not flight.request.partial:
                flight.add(
                    list(state.detokenizer.output_token_ids), state.logprobs_processor.logprobs
                )
            # How far vLLM has read a prompt that has no id behind it yet is not known.
            reading = state is None or state.is_prefilling
            read = None if reading else state.prompt_len
            cached = None if reading else state.num_cached_tokens
            flight.spend(read, cached, time.perf_counter())
            dropped[flight.key] = flight.completion(cancelled=True)
        if self.llm is not None and names:
            self.llm.abort_request(names)
        return dropped

    def _state(self, name: str) -> Any:
        """What vLLM itself keeps of a running request, and tells only at its end."""
        if self.llm is None:
            return None
        processor = self.llm.output_processor
        internal = next(iter(processor.external_req_ids.get(name, ())), None)
        return processor.request_states.get(internal)

    def _note_beginnings(self, now: float) -> None:
        """Note the time of the first id of requests. vLLM's own times would need its statistics."""
        for name in [*self._unbegun]:
            state = self._state(name)
            if state is None or not state.is_prefilling:
                self._unbegun.discard(name)
                self._flying[name].began = self._flying[name].began or now

    def close(self) -> None:
        """Free the model and its memory. A later load in this process starts afresh.

        Closing twice is allowed.
        """
        if getattr(self, "llm", None) is None:
            return
        from vllm.distributed import cleanup_dist_env_and_memory

        self.llm.engine_core.shutdown()
        self.llm = None
        gc.collect()
        cleanup_dist_env_and_memory()

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.model)

    @property
    def semantics(self) -> str:
        spread = "x".join(str(n) for n in self.parallel.values())
        options = " ".join(f"{k}={v}" for k, v in sorted(self._options.items()) if k in DECIDING)
        return (
            f"{self.name} {self._version} {str(self.dtype).removeprefix('torch.')} {self.device} "
            f"{spread} {options} 2{' batch-invariant' * self.deterministic}"
        )

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        ranks = "".join(f", {name} {n}" for name, n in self.parallel.items() if n > 1)
        return (
            f"{self.name} engine: {self.model}, {dtype} on {self.device}{ranks}, context "
            f"{self.context}"
        )

    def __enter__(self) -> VllmEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the interpreter may be shutting down
            self.llm = None


def _fields(struct: Any) -> tuple[str, ...]:
    """The names of the options of one of vLLM's classes."""
    return tuple(getattr(struct, "__struct_fields__", ()))
