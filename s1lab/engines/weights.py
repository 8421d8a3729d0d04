"""Checks of a model's files. A broken file is refused in one sentence that names it.

The checks before loading read little: the configuration and the headers of the weights. After
loading, the loader's report of missing weights is checked, and all weights must be finite. This
module runs no code from a model's folder.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

LARGEST_JSON = 16 * 1024**2  # bytes of a configuration or an index; real ones have a few thousand
WORDS = 200  # most characters of another library's message in ours
FEW = 2**28  # a model with fewer numbers needs no check of its memory
NAMED = 3  # weights that a sentence names; it only counts the others
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
# Sizes, by the names that most decoders have for them. A list has one number a layer.
SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)
LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
MOST_LAYERS = 100_000
Header = dict[str, tuple[str, tuple[int, ...]]]  # the dtype and shape of each weight


class ModelFilesError(FileNotFoundError, ValueError):
    """A model's files can't be used.

    The message is one sentence: which file, what is wrong, the fix.
    """


def one_line(why: object, most: int = WORDS) -> str:
    """Another library's message, on one line of bounded length."""
    words = " ".join(str(why).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Some of the names, and the number of the others: "'a', 'b', 'c' and 4 more"."""
    some = sorted(names)
    shown = ", ".join(repr(one_line(name, 60)) for name in some[:NAMED])
    return shown + (f" and {len(some) - NAMED} more" if len(some) > NAMED else "")


def _constant(name: str) -> float:
    """Refuse NaN, which no model can use. Some configurations contain infinity."""
    if name == "NaN":
        raise ValueError("it holds NaN, which JSON does not have")
    return float(name)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object.

    Args:
        path: The file.

    Raises:
        ModelFilesError: It can't be read, or contains anything else. The message names the file.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ModelFilesError(
                f"{path} has more than {LARGEST_JSON:,} bytes: it is no configuration of a model"
            )
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant)
    except ModelFilesError:
        raise
    except RecursionError:
        raise ModelFilesError(
            f"{path} is nested too deeply: it is no configuration of a model"
        ) from None
    except (OSError, ValueError) as why:  # includes UnicodeDecodeError and JSONDecodeError
        raise ModelFilesError(
            f"{path} is broken, perhaps a cut download ({one_line(why)}): fetch it again"
        ) from None
    if not isinstance(content, dict):
        raise ModelFilesError(
            f"{path} holds a {type(content).__name__} in place of a JSON object: fetch it again"
        )
    return content


def check_files(folder: Path) -> Header:
    """Check a folder's configuration and the headers of its weights, before anything is loaded.

    Args:
        folder: The folder of the files.

    Returns:
        Each weight's dtype and shape. Empty if the weights are not in safetensors: other formats
        have no separate header, and the loader must judge them.

    Raises:
        ModelFilesError: A file is broken, a file in the index is missing, or the configuration has
            sizes that no model has.
    """
    config = folder / "config.json"
    content = read_json(config) if config.is_file() else {}
    if (generation := folder / "generation_config.json").is_file():
        read_json(generation)
    if content:
        kind = content.get("model_type")
        if not isinstance(kind, str) or not kind:
            raise ModelFilesError(
                f"{config} has no model_type ({kind!r:.40}): without it nobody knows which model "
                "this is"
            )
        check_sizes(config, content)
    header = read_headers(folder)
    if header and content:
        _check_header(folder, content, header)
    return header


def check_sizes(path: Path, content: dict[str, Any]) -> None:
    """Refuse a configuration with sizes that no model has.

    transformers creates a list of the layers, however many there are.

    Args:
        path: The configuration's file.
        content: Its content.

    Raises:
        ModelFilesError: A size is out of range. The message names it.
    """
    for name, given in _sizes(content):
        most = MOST_LAYERS if name in LAYERS else 2**40
        for size in given if isinstance(given, list) else [given]:
            if size is None:
                continue
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
                raise ModelFilesError(
                    f"{path}: {name} is {given!r:.60}; it must be a whole number from 1 to {most:,}"
                )


def _sizes(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The sizes in a configuration. A model with images has its text's in ``text_config``."""
    text = content.get("text_config")
    for part in (content, text if isinstance(text, dict) else {}):
        yield from ((name, part.get(name)) for name in (*SIZES, *LAYERS))


def read_headers(folder: Path) -> Header:
    """The headers of the safetensors files that a loader would read.

    If there is an index, its files are read.

    Args:
        folder: The folder of the files.

    Raises:
        ModelFilesError: A file is broken. Or the index is broken, names a place outside the folder,
            or names files or weights that are missing.
    """
    if (folder / SINGLE).is_file():
        return read_header(folder / SINGLE)
    index = folder / INDEX
    if not index.is_file():
        return {}
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise ModelFilesError(f"{index} has no weight_map from names to files: fetch it again")
    files = sorted(set(places.values()))
    for file in files:
        # A folder from someone else may name any file of this machine.
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise ModelFilesError(
                f"{index} names {one_line(file, 80)!r}, which is outside its folder"
            )
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise ModelFilesError(
            f"{index} names {listed(missing)}, and {folder} does not hold it: fetch the model again"
        )
    header: Header = {}
    for file in files:
        header |= read_header(folder / file)
    if absent := set(places) - set(header):
        raise ModelFilesError(
            f"{index} names the weights {listed(absent)}, which its files do not hold: fetch the "
            "model again"
        )
    return header


def read_header(path: Path) -> Header:
    """Each weight's dtype and shape in a safetensors file, from its header only.

    The file format's own reader checks the header first. It bounds the length, and checks that the
    weights cover the file to its last byte without a gap. So a cut file is found without reading
    it.

    Args:
        path: The file.

    Raises:
        ModelFilesError: The file is broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # With torch the file would be mapped a second time, as separate memory.
        with safe_open(path, framework="np"):
            pass
        with path.open("rb") as file:
            content = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (SafetensorError, OSError, ValueError, RecursionError) as why:
        size = path.stat().st_size if path.is_file() else 0
        raise ModelFilesError(
            f"{path} is broken, perhaps a cut download: it has {size:,} bytes ({one_line(why)}); "
            "fetch it again"
        ) from None
    content.pop("__metadata__", None)
    return {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in content.items()}


def _check_header(folder: Path, content: dict[str, Any], header: Header) -> None:
    """Check names, dtypes and sizes, before a model of the configuration is made."""
    config = folder / "config.json"
    layers = max(
        (size for name, size in _sizes(content) if name in LAYERS and isinstance(size, int)),
        default=0,
    )
    if layers > len(header):
        # Laying out a model of so many layers would take minutes before a missing weight is
        # noticed.
        raise ModelFilesError(
            f"{config} says {layers:,} layers, but there are only {len(header):,} weights in all: "
            "one of the files is of another model"
        )
    if not quantized(content):
        # Some buffers are whole numbers, but no weight is. A loader would convert its bytes to
        # other numbers.
        whole = [
            name
            for name, (dtype, _) in header.items()
            if name.endswith(".weight") and (dtype == "BOOL" or dtype.lstrip("UI").isdigit())
        ]
        if whole:
            raise ModelFilesError(
                f"{folder} holds whole numbers as the weights {listed(whole)}, and config.json "
                "names no quantization: the file is broken"
            )


def quantized(content: Mapping[str, Any]) -> bool:
    """Whether a configuration says that the weights are stored in another form than used."""
    return bool(content.get("quantization_config") or content.get("compression_config"))


def check_size(folder: Path, config: Any, header: Header) -> None:
    """Refuse a configuration of a far larger model than the weights, before memory is taken.

    A loader fills missing weights with random numbers, and reports that afterwards. The model is
    laid out without memory here, which takes a few milliseconds a layer at most.

    Args:
        folder: The folder of the files.
        config: The configuration.
        header: The dtype and shape of each weight in the files.

    Raises:
        ModelFilesError: The configuration's model is large, and over twice as large as the files.
    """
    described = sum(weight.numel() for weight in _on_meta(config).values())
    held = sum(math.prod(shape) for _, shape in header.values())
    if described > max(2 * held, FEW):
        raise ModelFilesError(
            f"{folder / 'config.json'} describes a model of {described:,} numbers, but the weights "
            f"are only {held:,}: one of the files is of another model"
        )


def same_as_config(config: Any, header: Header) -> bool:
    """Whether the files contain exactly the weights of the configuration's model.

    Names and shapes are compared.
    """
    described = {name: tuple(weight.shape) for name, weight in _on_meta(config).items()}
    held = {name: shape for name, (_, shape) in header.items()}
    if getattr(config, "tie_word_embeddings", False):
        described.pop("lm_head.weight", None)
        held.pop("lm_head.weight", None)
    return described == held


def _on_meta(config: Any) -> dict[str, Any]:
    """The weights of a configuration's model, without memory for them."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return dict(AutoModelForCausalLM.from_config(config, trust_remote_code=False).state_dict())


def check_loaded(model: str, info: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Refuse missing, left over or misshapen weights after transformers loaded a model.

    transformers only logs them, and uses random numbers for missing ones. Tied weights count as
    present.

    Args:
        model: The name to show.
        info: The result of ``output_loading_info=True``.
        content: The configuration, as a dictionary.

    Raises:
        ModelFilesError: The weights do not match the configuration.
    """
    missing, wrong = (
        set(info["missing_keys"]),
        {name: shapes for name, *shapes in info["mismatched_keys"]},
    )
    # A quantizer stores scales under names that an unquantized model does not have.
    left_over = set() if quantized(content) else set(info["unexpected_keys"])
    kind = content.get("model_type")
    another = f"are its files complete, and is its model_type {kind!r} the right one?"
    if missing:
        raise ModelFilesError(
            f"the weights of {model!r} lack {listed(missing)}, and random numbers would take their "
            f"place: {another}"
        )
    if wrong:
        first = min(wrong)
        raise ModelFilesError(
            f"the weights of {model!r} have other shapes than config.json says: {listed(wrong)}, "
            f"the first of them {tuple(wrong[first][0])} in place of {tuple(wrong[first][1])}: one "
            "of the files is of another model"
        )
    if left_over:
        raise ModelFilesError(
            f"the weights of {model!r} hold {listed(left_over)}, which a model of its model_type "
            f"{kind!r} does not use: config.json is of another model, or the weights are"
        )
    if info.get("error_msgs"):
        raise ModelFilesError(
            f"the weights of {model!r} can't be used: {one_line(info['error_msgs'][0])}"
        )


@contextlib.contextmanager
def no_report() -> Iterator[None]:
    """Hide transformers' report of a load. Its important parts become our own sentence."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(50)  # above its errors
    try:
        yield
    finally:
        logging.set_verbosity(before)
