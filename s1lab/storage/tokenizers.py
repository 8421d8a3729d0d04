"""The tokenizer and the template that a store keeps.

With them its traces can be read without the model.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from s1lab.storage.sqlite import StoreError
from s1lab.template import ThinkTemplate
from s1lab.tokenization.bound_template import BoundTemplate, bind

# Bytes unpacked. The largest tokenizers in use have some 40 MB, and a few kilobytes can unpack to
# gigabytes.
LARGEST_TOKENIZER = 128 * 1024**2


def template_text(template: BoundTemplate) -> str:
    """A template as JSON text, for a store."""
    return json.dumps(
        {
            "template": asdict(template.template),
            "eos": sorted(template.answer_stop),
            "chat_template_kwargs": dict(template.chat.kwargs),
            "allow_special": template.allow_special,
        }
    )


def tokenizer_bytes(template: BoundTemplate) -> bytes:
    """The tokenizer's files and the name of its class, zipped: a replay needs them too."""
    out = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        template.tokenizer.save_pretrained(folder)
        archive.writestr("class", type(template.tokenizer).__name__)
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                archive.write(file, f"files/{file.relative_to(folder).as_posix()}")
    return out.getvalue()


def bound(template: str, tokenizer: bytes) -> BoundTemplate:
    """Load the template and the tokenizer of a store.

    The store may come from anywhere, so none of its code runs.

    Args:
        template: The text that `template_text` wrote.
        tokenizer: The bytes that `tokenizer_bytes` wrote.

    Returns:
        The template, bound to the tokenizer.

    Raises:
        StoreError: They can't be read, or the tokenizer can't be loaded without its own code.
    """
    from s1lab.engines.weights import one_line

    try:
        return _bound(template, tokenizer)
    except Exception as why:  # zipfile, transformers and tokenizers may raise anything here
        words = f"{type(why).__name__}: {one_line(why)}"
        if "trust_remote_code" in str(why):
            words = "it can only be loaded by running code that comes with it, which is never done"
        raise StoreError(
            f"the tokenizer that the store keeps can't be loaded ({words}): take a store that "
            "s1lab wrote, unchanged"
        ) from why


def _bound(template: str, tokenizer: bytes) -> BoundTemplate:
    import transformers

    stored = json.loads(template)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(tokenizer)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_TOKENIZER:
            raise ValueError(
                f"unpacked it has {size:,} bytes, and at most {LARGEST_TOKENIZER:,} are taken"
            )
        archive.extractall(folder)
        kind: Any = getattr(transformers, archive.read("class").decode(), None)
        if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedTokenizerBase)):
            kind = transformers.AutoTokenizer
        loaded = kind.from_pretrained(f"{folder}/files", trust_remote_code=False)
    fields = stored["template"] | {"ends": tuple(stored["template"]["ends"])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user saw these notes when the model was loaded
        return bind(
            ThinkTemplate(**fields),
            loaded,
            set(stored["eos"]),
            chat_template_kwargs=stored.get("chat_template_kwargs"),
            allow_special=stored.get("allow_special", True),
            as_of_01="allow_special" not in stored,
        )
