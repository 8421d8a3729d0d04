r"""Run tasks of lm-evaluation-harness with s1lab, within a budget.

    python -m s1lab.interop.lm_eval --model s1lab --tasks aime24 --output_path runs/out \
        --model_args model=s1-tiny,max_tokens=512,waits=2

The command takes the arguments of ``lm_eval``, and calls it. An import of this module registers the
model "s1lab" in the harness, for ``lm_eval.simple_evaluate(model="s1lab", model_args=...)``. It
needs ``pip install "s1lab[harness]"``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from s1lab.api import force
from s1lab.budget import Budget
from s1lab.engines.address import holds_user
from s1lab.engines.description import describe
from s1lab.loader import load

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError as why:
    lacking = (
        f"s1lab.interop.lm_eval runs inside lm-evaluation-harness ({why}): pip install "
        "'s1lab[harness]'"
    )
    if __name__ == "__main__":
        raise SystemExit(f"s1lab: {lacking}") from None
    raise ImportError(lacking) from None

LOG = logging.getLogger(__name__)
_BUDGET = {field.name for field in fields(Budget)}
_SECRET = re.compile(r"(?i)(api_?key|secret|password|authorization|headers?)$")
_WRITTEN = re.compile(r"""(?i)((?:api_?key|secret|password)['"]?\s*[=:]\s*['"]?)[^\s,'"}]+""")
REFUSED = (
    "{} is not taken here, because the harness prints --model_args and writes them into its "
    "results: put the server's key into the environment variable S1LAB_API_KEY"
)


def _hide_keys(record: logging.LogRecord) -> bool:
    """Leave keys out of a line of the harness's log, which shows all --model_args."""
    text = record.getMessage()
    if _WRITTEN.search(text):
        record.msg, record.args = _WRITTEN.sub(r"\1[key]", text), ()
    return True


for name in ("lm_eval.evaluator", "lm_eval.config.evaluate_config", "lm_eval._cli.run"):
    logging.getLogger(name).addFilter(_hide_keys)


@register_model("s1lab")
class S1Lab(LM):  # type: ignore[misc]
    """An engine of s1lab as a model of the harness.

    Each task's prompt is one user turn, under one budget. A task's ``max_gen_toks`` caps the
    answer, never the thinking, and only if it is below ``answer_tokens``. ``until`` cuts the
    answer's text, and the harness gets only the answer. ``temperature`` and ``top_p`` are used;
    ``do_sample: false`` is greedy. The engine applies the chat template itself, with or without
    ``--apply_chat_template``. A question that can't be run gets an empty answer, is logged, and is
    counted in the results' config (``s1lab.failed``).

    Args:
        model: A model for `s1lab.load`.
        pretrained: The same as ``model``.
        engine: As in `s1lab.load`.
        seed: As in `s1lab.force`.
        system: As in `s1lab.force`.
        store: As in `s1lab.force`.
        batch_size: Accepted from the harness, without effect.
        max_batch_size: Accepted from the harness, without effect.
        device: The engine's device; "cuda:0", the harness's default, lets the engine choose.
        options: max_tokens, min_tokens, waits, wait, on_cut, answer_tokens, answer_room and compat
            are those of `s1lab.Budget`. All others go to `s1lab.load`.

    Raises:
        ValueError: No model is named, or an option holds a server's key. A key comes from the
            environment variable S1LAB_API_KEY only.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        pretrained: str | None = None,
        engine: str = "auto",
        seed: int = 0,
        system: str | None = None,
        store: str | None = None,
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        for option in options:
            if _SECRET.search(option):
                raise ValueError(REFUSED.format(option))
        name = model or pretrained
        if not name:
            raise ValueError(
                "--model_args names no model: give model=s1-tiny, a folder, a hub id or a server's "
                "address"
            )
        if holds_user(name):
            raise ValueError(REFUSED.format("an address with a user or a key"))
        if odd := next((key for key in options if not key.isidentifier()), None):
            # lm_eval takes "wait=Hmm, let me see" apart at its comma.
            such = '{"model": "s1-tiny", "wait": "Hmm, let me see"}'
            raise ValueError(
                f"--model_args has {odd!r:.60} where name=value is due: a comma ends a value, "
                f"so give the options as JSON, such as --model_args '{such}'"
            )
        self.budget = Budget(**{key: options.pop(key) for key in list(options) if key in _BUDGET})
        # "cuda:0" is the harness's default if the user named no device: the engine then chooses
        # itself.
        if device not in (None, "cuda:0"):
            options["device"] = device
        self.engine = load(name, engine=engine, **options)
        self.seed, self.system, self.store = seed, system, store
        self.asked, self.failed, self.thinking = 0, 0, 0

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The answers to the requests' prompts, in order.

        Requests with the same sampling options are asked together.
        """
        answers = [""] * len(requests)
        alike: dict[tuple[float, float, int | None], list[int]] = {}
        for place, request in enumerate(requests):
            alike.setdefault(self._sampling(request.args[1]), []).append(place)
        for (temperature, top_p, answer_tokens), places in alike.items():
            traces = force(
                self.engine,
                [requests[place].args[0] for place in places],
                replace(self.budget, answer_tokens=answer_tokens),
                temperature=temperature,
                top_p=top_p,
                seed=self.seed,
                system=self.system,
                store=self.store,
                progress=not disable_tqdm,
            )
            for place, trace in zip(places, traces, strict=True):
                self.asked += 1
                self.thinking += trace.thinking_tokens
                if trace.error:
                    self.failed += 1
                    LOG.warning("a question could not be run: %s", trace.error)
                else:
                    answers[place] = _until(trace.answer, requests[place].args[1].get("until"))
                self.cache_hook.add_partial("generate_until", requests[place].args, answers[place])
        return answers

    def _sampling(self, asked: dict[str, Any]) -> tuple[float, float, int | None]:
        greedy = asked.get("do_sample") is False
        temperature = 0.0 if greedy else float(asked.get("temperature") or 0.0)
        most = next(
            (
                asked[key]
                for key in ("max_gen_toks", "max_new_tokens", "max_tokens")
                if asked.get(key)
            ),
            None,
        )
        limits = [
            tokens for tokens in (self.budget.answer_tokens, int(most) if most else None) if tokens
        ]
        return temperature, float(asked.get("top_p") or 1.0), min(limits, default=None)

    def loglikelihood(self, requests: Sequence[Any]) -> Any:
        """Refused: forcing generates text, and gives no likelihood of other texts."""
        raise NotImplementedError(
            "s1lab answers by writing: choose tasks of output_type generate_until (no "
            "loglikelihood)"
        )

    loglikelihood_rolling = loglikelihood

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The one user turn, unchanged: the engine puts the template around it."""
        if [turn["role"] for turn in chat_history] != ["user"]:
            raise ValueError(
                "s1lab asks one user turn: give the system turn as system=... in --model_args, and "
                "few-shot examples without --fewshot_as_multiturn"
            )
        return chat_history[0]["content"]

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The model's own template, which the harness writes into its results."""
        return str(self.engine.template.tokenizer.chat_template)

    @property
    def tokenizer_name(self) -> str:
        """One name in the cache of prompts for all models, because prompts have no template."""
        return "s1lab"

    def get_model_info(self) -> dict[str, Any]:
        """How the run was made and its counts, for the config of the harness's results."""
        budget = {key: getattr(self.budget, key) for key in sorted(_BUDGET)}
        counts = {
            "asked": self.asked,
            "failed": self.failed,
            "thinking_tokens": self.thinking / max(1, self.asked),
        }
        return {
            "s1lab": {
                **describe(self.engine),
                "budget": budget,
                "seed": self.seed,
                "system": self.system,
                **counts,
            }
        }


def _until(text: str, stops: str | Sequence[str] | None) -> str:
    """The text before the first of the stops."""
    for stop in [stops] if isinstance(stops, str) else stops or []:
        text = text.partition(stop)[0] if stop else text
    return text


def main() -> None:
    """Run ``lm_eval`` with the model "s1lab" registered."""
    from lm_eval.__main__ import cli_evaluate

    # Before the harness reads its arguments: its own errors would show them.
    if found := next(filter(None, map(_WRITTEN.search, sys.argv[1:])), None):
        raise SystemExit(f"s1lab: {REFUSED.format(re.split('[=:]', found[1])[0])}")
    cli_evaluate()


if __name__ == "__main__":
    main()
