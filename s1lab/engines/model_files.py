"""The model files that every engine needs: where they are, the network, the tokenizer."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file

from s1lab.engines import adapters, gguf
from s1lab.engines.model_cache import announced, cache
from s1lab.engines.model_names import (
    EMBEDDED,
    TINY,
    check_reachable,
    folder_of,
    gguf_of,
    locate,
    split,
)
from s1lab.engines.weights import (
    Header,
    ModelFilesError,
    check_files,
    check_loaded,
    check_size,
    check_sizes,
    no_report,
    one_line,
    quantized,
    read_json,
    same_as_config,
)

LOG = logging.getLogger(__name__)


def ready(model: str) -> None:
    """Make the folder that a model is loaded from, if its name stands for a file or an adapter.

    Raises:
        ModelFilesError: A file is broken, or the adapter is not of this base.
        ConnectionError: The model must be fetched, and the hub can't be reached.
    """
    check_reachable(model)
    base, adapter = split(model)
    if adapter is not None:
        ready(base)
        if not Path(locate(model)).is_dir():
            with announced(f"merging {Path(adapter).name} into {base} once, in {cache()}"):
                network, tokenizer = load_network(base, torch.float32), load_tokenizer(base)
                # Only now is the commit known if the base is of the hub.
                adapters.merge(base, adapter, network, tokenizer, Path(locate(model)))
    elif file := gguf_of(base):
        gguf.convert(file)


@contextlib.contextmanager
def reading(model: str, file: str = "") -> Iterator[None]:
    """Turn any error of a library about missing or broken files into one sentence.

    It also hides progress bars meanwhile.

    Args:
        model: The name to show.
        file: The file that is read, if known. The sentence names it.

    Raises:
        ModelFilesError: A library raised something.
    """
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except ModelFilesError:  # already one sentence
        raise
    except BaseException as why:
        # A panic in the Rust code of tokenizers is not an Exception. It must not end the process.
        if not isinstance(why, Exception) and type(why).__name__ != "PanicException":
            raise
        if "trust_remote_code" in str(why):
            raise ModelFilesError(code_needed(model)) from why
        # Libraries raise anything here, such as a bare KeyError. Then the sentence names its type.
        named = "" if isinstance(why, (OSError, ValueError)) else f"{type(why).__name__}: "
        if file and folder_of(model):
            raise ModelFilesError(
                f"the {file} of {model!r} can't be used ({named}{one_line(why, 140)}): fetch the "
                "model's files again, or write them again with the transformers that is installed"
            ) from why
        raise ModelFilesError(
            f"the model {model!r} can't be loaded ({named}{one_line(why, 140)}): give a folder "
            "that holds a transformers model with its tokenizer, a hub id that this machine can "
            f"reach, or {EMBEDDED[0]!r}"
        ) from why
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def code_needed(model: str) -> str:
    """The sentence about a model that needs its own code to load."""
    return (
        f"the model {model!r} can only be loaded by running code that its own files name "
        "(auto_map), and that is not done unless you ask for it: pass trust_remote_code=True to "
        "lab.load if you have read that code and trust it"
    )


def settings_of(model: str, file: str) -> dict[str, Any]:
    """One of a model's JSON files, as it is written; empty if the file is missing.

    A transformers configuration would fill in missing values. ``LlamaConfig`` says that id 2 ends a
    sequence, which is an ordinary token in most vocabularies.
    """
    where = locate(model)
    if Path(where).is_dir():
        path = Path(where) / file
        return read_json(path) if path.is_file() else {}
    found = cached_file(
        where,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return read_json(Path(found)) if found else {}


def check_model(model: str) -> Header:
    """Check a model's files if they are local; see `s1lab.engines.weights.check_files`."""
    folder = folder_of(model)
    return check_files(folder) if folder else {}


def load_network(
    model: str, dtype: str | torch.dtype = "auto", *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Load a model with all of its weights and no others.

    Args:
        model: Embedded name, folder or hub id.
        dtype: The dtype of the loaded weights; "auto" is the files' own.
        trust_remote_code: Whether code that the model's files name may run.

    Returns:
        The model in memory, on the CPU.

    Raises:
        ModelFilesError: A file is missing or broken, or the weights do not match the configuration.
            The message is one sentence.
    """
    ready(model)
    where = locate(model)
    with reading(model):
        header = check_model(model)
        content = settings_of(model, "config.json")
    if header and not quantized(content) and not trust_remote_code:
        with reading(model, "config.json"), no_report():
            config = AutoConfig.from_pretrained(where, trust_remote_code=False)
            check_size(folder_of(model) or Path(where), config, header)
    with reading(model), no_report():
        # If mismatches are allowed, the information names each one. Otherwise they are one error
        # without names.
        network: PreTrainedModel
        info: dict[str, Any]
        network, info = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
            where,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=trust_remote_code,
        )
        check_loaded(model, info, content)
    return network


def check_unread(model: str, *, trust_remote_code: bool = False) -> None:
    """Check files for an engine that loads them itself and does not report missing weights.

    transformers loads the model on the meta device, and so decides whether a name in the files
    belongs to the model. It knows the checkpoints that are stored under other names. In these cases
    transformers can't tell, and only the headers of the files are checked:

    - quantized checkpoints, whose weights have other shapes;
    - architectures that transformers does not load as a causal language model (models with images),
      or only with their own code;
    - weights that are not in safetensors;
        - a machine without accelerate, if the files' names and shapes are not exactly the model's.

    Args:
        model: Embedded name, folder or hub id.
        trust_remote_code: Whether code that the model's files name may run in the engine. The
            model that it builds is not known here, so only the headers are checked then.

    Raises:
        ModelFilesError: A file is broken, or weights are missing, left over or of another shape.
    """
    with reading(model):
        header = check_model(model)
        content = settings_of(model, "config.json")
    if not header or quantized(content) or trust_remote_code:
        return
    where = locate(model)
    with no_report():
        try:
            config = AutoConfig.from_pretrained(where, trust_remote_code=False)
            named = content.get("architectures") or ()
            if not set(named) & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()) or same_as_config(
                config, header
            ):
                return
            bars = transformers_logging.is_progress_bar_enabled()
            transformers_logging.disable_progress_bar()
            try:
                info: dict[str, Any]
                _, info = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
                    where,
                    device_map="meta",
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    trust_remote_code=False,
                )
            finally:
                if bars:
                    transformers_logging.enable_progress_bar()
        except Exception:  # transformers can't judge it, so the engine must
            LOG.debug("transformers can't lay out %s", model, exc_info=True)
            return
    check_loaded(model, info, content)


# Tokenizers differ in spaces, line ends, digits, other scripts and code.
PROBES = (
    "How many r in raspberry?",
    " two  spaces,\n\n\ta tab\r\nand an end ",
    "1234567890 3.14159 -7/8 x^2+y_1",
    # A separate accent and a ligature, which normalisers change.
    "Ünïcödé e\u0301 日本語 Привет 😀 ½ ﬁ",
    "def f(x):\n    return {'a': [x, \"b\"]}  # it's\n",
    "Don't WAIT... Wait, hmm",
)
LETTERS = "eTa7?"  # any language model has tokens for these
# Names of the generic class, which is fully described by its file.
GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, as its ``tokenizer.json`` describes it, if that file exists.

    ``tokenizer_config.json`` may name a class that builds another tokenizer from the same words.
    This happened in folders in the form of the R1 distills: a Llama class lost every space of a
    byte-level vocabulary.

    Args:
        model: Embedded name, folder or hub id.
        trust_remote_code: Whether code that the model's files name may run.

    Returns:
        The tokenizer. A warning says if it is not of the class that the files name.

    Raises:
        ModelFilesError: A file is missing or broken. The message is one sentence.
    """
    ready(model)
    where = locate(model)
    embedded = Path(where).parent.resolve() == TINY.resolve()
    with reading(model, "tokenizer or config.json"):  # one can't be read without the other
        if (folder := folder_of(model)) and not embedded:
            for path in (folder / "tokenizer_config.json", folder / "config.json"):
                check_sizes(path, read_json(path) if path.is_file() else {})
        # AutoTokenizer gives every Qwen2 model Qwen's normaliser, which changes some text. The
        # embedded model's file has no normaliser.
        kind = PreTrainedTokenizerFast if embedded else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(
            where, trust_remote_code=trust_remote_code
        )
        if lost := [
            letter for letter in LETTERS if not tokenizer.encode(letter, add_special_tokens=False)
        ]:
            raise ModelFilesError(
                f"the tokenizer of {model!r} has no token for {lost[0]!r}: fetch the model's files "
                "again"
            )
        # The second is code that the user allowed.
        if embedded or type(tokenizer).__module__.startswith("transformers_modules"):
            return tokenizer
        file = (folder_of(model) or Path(where)) / "tokenizer.json"
        if not file.is_file() or _agrees(tokenizer, by_file := Tokenizer.from_file(str(file))):
            return tokenizer
        used, named = (
            type(tokenizer).__name__,
            settings_of(model, "tokenizer_config.json").get("tokenizer_class"),
        )
        tokenizer = PreTrainedTokenizerFast.from_pretrained(where, trust_remote_code=False)
        if not _agrees(tokenizer, by_file):
            raise ModelFilesError(
                f"{file} can't be used: transformers makes another tokenizer of it, as {used} and "
                "as the file's own class; save the tokenizer again with the transformers that is "
                "installed"
            )
    # With the generic class the file describes everything, so the files agree.
    if named not in GENERIC:
        warnings.warn(
            f"the tokenizer class {used} of {model!r} encodes some texts differently from its "
            "tokenizer.json: the file is used",
            stacklevel=4,
        )
    return tokenizer


def _agrees(tokenizer: PreTrainedTokenizerBase, by_file: Tokenizer) -> bool:
    """Whether a tokenizer encodes and decodes the probe texts as its file does."""
    # Truncation may be saved in the file from someone's call. transformers sets it for each call.
    by_file.no_truncation()
    by_file.no_padding()
    for text in PROBES:
        ids = by_file.encode(text, add_special_tokens=False).ids
        if list(tokenizer.encode(text, add_special_tokens=False)) != ids:
            return False
        decoded = tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        if decoded != by_file.decode(ids, skip_special_tokens=False):
            return False
    return True


def formats_of(model: str) -> tuple[str, ...] | None:
    """The formats of conditional control that a model's config says it was trained in.

    None if its files are not on this machine.
    """
    try:
        config = AutoConfig.from_pretrained(
            locate(model), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):
        return None
    return tuple(getattr(config, "s1lab_formats", None) or ())
