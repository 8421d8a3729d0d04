"""Write results in the file format of lm-evaluation-harness (0.4.13), for tools that read it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s1lab.storage.files import local, write_whole
from s1lab.tokenization.bound_template import MARK_IDS
from s1lab.trace import Source, Trace

if TYPE_CHECKING:
    from s1lab.evaluation.evaluate import Results

MEASURED = (
    "response",
    "given",
    "correct",
    "reason",
    "thinking_tokens",
    "forced_tokens",
    "waits",
    "cut",
    "answer_cut",
    "error",
    "grade_error",
)


def save_harness(results: Results, folder: str | Path, task: str | None = None) -> Path:
    """Write results as ``lm_eval --output_path`` does.

    The files are ``results_TIME.json`` and ``samples_TASK_TIME.jsonl`` in ``folder/MODEL``.
    Accuracy is ``exact_match,none`` (a share, not percent), with its standard error.
    ``thinking_tokens,none`` is next to it, and ``config.s1lab`` says how the run was made. A
    response is all text after the prompt, as in the original's logged samples (`response`):
    the opening of the thinking, the thinking, its close and the answer, with special tokens shown.

    Args:
        results: The results of a run.
        folder: Where the folder of the model is made.
        task: The harness's name for the benchmark; None takes its name here.

    Returns:
        The path of the results file.

    Raises:
        ValueError: The task can't be part of a file's name.

    Example:
        results = lab.evaluate(lab.load("s1-tiny"), lab.tiny.problems(4))
        save_harness(results, "runs/harness")
    """
    name = str(results.made.get("model") or "model")
    benchmark = str(results.made.get("benchmark", {}).get("name") or "s1lab")
    task = task or benchmark.replace("/", "_")  # "reasoning-gym/gcd"
    if not isinstance(task, str) or not re.fullmatch(r"[\w.-]+", task):
        raise ValueError(
            f"task={task!r} becomes part of a file's name: give letters, digits, '_', '-' and '.' "
            "only"
        )
    sanitized = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", name)
    place = local(folder) / sanitized
    now = datetime.now()
    stamp = now.isoformat().replace(":", "-")
    samples = list(_samples(results))
    right = [sample["exact_match"] for sample in samples]
    n, mean = len(right), sum(right) / len(right)
    spread = (sum((r - mean) ** 2 for r in right) / (n - 1) / n) ** 0.5 if n > 1 else "N/A"
    hashes = "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples)
    measured = {
        "alias": task,
        "name": task,
        "sample_len": n,
        "exact_match,none": mean,
        "exact_match_stderr,none": spread,
        "thinking_tokens,none": results.thinking_tokens,
        "thinking_tokens_stderr,none": "N/A",
    }
    table: dict[str, Any] = {
        "results": {task: measured},
        "group_subtasks": {task: []},
        "configs": {
            task: {"task": task, "output_type": "generate_until", "metadata": {"version": 1.0}}
        },
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"exact_match": True, "thinking_tokens": False}},
        "n-samples": {task: {"original": n, "effective": n}},
        "config": {"model": "s1lab", "model_args": {"model": name}, "s1lab": results.made},
        "git_hash": results.made.get("commit"),
        "date": now.timestamp(),
        "task_hashes": {task: _hash(hashes)},
        "model_source": "s1lab",
        "model_name": name,
        "model_name_sanitized": sanitized,
    }
    _write(
        place / f"samples_{task}_{stamp}.jsonl",
        (json.dumps(sample, ensure_ascii=False) for sample in samples),
    )
    return _write(
        place / f"results_{stamp}.json",
        [json.dumps(table, indent=2, ensure_ascii=False, default=str)],
    )


def _samples(results: Results) -> Iterable[dict[str, Any]]:
    n = len(results.traces) // len(results.rows)
    for place, row in enumerate(results.rows):
        asked = row["question"]
        asked = asked if isinstance(asked, str) else json.dumps(asked, ensure_ascii=False)
        doc = {column: value for column, value in row.items() if column not in MEASURED}
        responses = [response(trace) for trace in results.traces[place * n : (place + 1) * n]]
        yield {
            "doc_id": place,
            "doc": doc,
            "target": row["answer"],
            "arguments": {
                "gen_args_0": {"arg_0": asked, "arg_1": {"until": [], "max_gen_toks": None}}
            },
            "resps": [responses],
            "filtered_resps": responses[:1],
            "filter": "none",
            "metrics": ["exact_match", "thinking_tokens"],
            "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False, default=str)),
            "prompt_hash": _hash(asked),
            "target_hash": _hash(row["answer"]),
            "exact_match": float(row["correct"]),
            "thinking_tokens": float(row["thinking_tokens"]),
        }


def response(trace: Trace) -> str:
    """All text after the prompt, as the original's evaluator logs it, with special tokens shown.

    The original's ``generate_until`` returns the opening of the thinking, the thinking, the close
    and the answer as one text. Its graders split it at the close, and its
    ``compute_sample_stats.py`` counts it.

    Args:
        trace: A run on one question.

    Returns:
        The text. If no thinking was opened, it is only the answer.

    Example:
        trace = lab.force(lab.load("s1-tiny"), "How many r in raspberry?")
        print(response(trace))
    """
    prompt = trace.of(Source.PROMPT)
    written = trace.template.decode(trace.ids[len(prompt) :])
    # The opening is part of the prompt here, because the model does not write it.
    mark = trace.template.template.open.strip()
    before = trace.template.decode(prompt[-MARK_IDS:])
    opened = bool(mark) and before.rstrip().endswith(mark)
    return before[before.rindex(mark) :] + written if opened else written


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _write(path: Path, lines: Iterable[str]) -> Path:
    write_whole(path, (f"{line}\n".encode("utf-8", "replace") for line in lines))
    return path
