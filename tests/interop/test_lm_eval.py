"""The model class inside the real lm-evaluation-harness, on a small local task; and our results in
its files' form.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

import s1lab as lab
from tests.helpers import ROOT

lm_eval = pytest.importorskip(
    "lm_eval", reason="lm-evaluation-harness is not installed: pip install 's1lab[harness]'"
)

QUIET = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
GUIDE = (ROOT / "docs" / "from_harness.md").read_text(encoding="utf-8")
(TASK,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)  # the one that readers are shown


@pytest.fixture
def problems():
    return lab.tiny.problems(8, seed=5, families=["letters"])


@pytest.fixture
def task(tmp_path, problems):
    folder = tmp_path / "tasks"
    folder.mkdir()
    problems.to_json(str(tmp_path / "letters.jsonl"))
    (folder / "embedded.yaml").write_text(
        TASK.replace("runs/task/embedded.jsonl", str(tmp_path / "letters.jsonl"))
    )
    return folder


@pytest.mark.long
def test_a_real_task_runs_with_a_budget(task, problems, tiny, monkeypatch):
    monkeypatch.setattr(
        "lm_eval.evaluator.add_env_info", lambda results: None
    )  # half a minute of looking at the machine
    from lm_eval.tasks import TaskManager

    import s1lab.interop.lm_eval  # noqa: F401  (registers the model)

    ran = lm_eval.simple_evaluate(
        model="s1lab", model_args="model=s1-tiny,waits=2", tasks=["embedded"],
        bootstrap_iters=0, apply_chat_template=True,
        task_manager=TaskManager(include_path=str(task), include_defaults=False),
    )  # fmt: skip
    ours = lab.evaluate(tiny, problems, lab.Budget(waits=2, answer_tokens=64), progress=False)
    assert ran["results"]["embedded"]["exact_match,answer"] == pytest.approx(ours.accuracy / 100)
    samples = sorted(ran["samples"]["embedded"], key=lambda sample: sample["doc_id"])
    assert [sample["resps"][0][0] for sample in samples] == list(ours.rows["response"])
    told = ran["config"]["s1lab"]
    assert told["budget"]["waits"] == 2 and told["failed"] == 0 and told["asked"] == 8
    assert told["thinking_tokens"] == pytest.approx(ours.thinking_tokens)


@pytest.mark.long
def test_the_command_line_is_lm_evals_and_our_export_has_the_form_of_its_files(
    task, tmp_path, tiny, problems
):
    # As ``python -m`` runs it, without its half a minute of looking at the machine.
    alone = (
        "import runpy, lm_eval.evaluator as e; e.add_env_info = lambda results: None; "
        "runpy.run_module('s1lab.interop.lm_eval', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", alone]
    command += ["--model", "s1lab", "--model_args", "model=s1-tiny,max_tokens=24"]
    command += ["--tasks", "embedded", "--include_path", str(task), "--limit", "3", "--log_samples"]
    command += ["--output_path", str(tmp_path / "out")]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | QUIET
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    (theirs,) = (tmp_path / "out").rglob("results_*.json")
    told = json.loads(theirs.read_text())
    assert (
        told["config"]["s1lab"]["budget"]["max_tokens"] == 24
        and told["n-samples"]["embedded"]["effective"] == 3
    )

    ours = lab.evaluate(
        tiny, problems.select(range(3)), lab.Budget(max_tokens=24, answer_tokens=64), progress=False
    )
    written = ours.save_harness(tmp_path / "ours", "embedded")
    mine = json.loads(written.read_text())
    assert set(mine) <= set(told) and {
        "results",
        "configs",
        "versions",
        "n-samples",
        "config",
        "task_hashes",
    } <= set(mine)
    assert set(mine["n-samples"]["embedded"]) == set(told["n-samples"]["embedded"])
    samples = [
        next(path.parent.glob("samples_embedded_*.jsonl")).read_text().splitlines()
        for path in (theirs, written)
    ]
    first, second = (
        sorted(map(json.loads, lines), key=lambda row: row["doc_id"]) for lines in samples
    )
    for a, b in zip(first, second, strict=True):
        assert set(a) <= set(b)
        assert [a[key] for key in ("target", "prompt_hash", "target_hash")] == [
            b[key] for key in ("target", "prompt_hash", "target_hash")
        ]
        # The harness is given the answer alone, our files have the thinking too, as the original's.
        (((answer,),), ((response,),)) = a["resps"], b["resps"]
        assert (
            response.startswith("<|im_start|>think\n")
            and response.endswith(answer)
            and response != answer
        )
        assert {name: type(value) for name, value in a.items()} == {
            name: type(b[name]) for name in a
        }


def test_what_it_can_not_do_is_said(task):
    from s1lab.interop.lm_eval import S1Lab

    with pytest.raises(ValueError, match="names no model"):
        S1Lab()
    with pytest.raises(ValueError, match="waits=-1"):
        S1Lab("s1-tiny", waits=-1)
    model = S1Lab("s1-tiny", max_tokens=16)
    with pytest.raises(NotImplementedError, match="generate_until"):
        model.loglikelihood([])
    with pytest.raises(ValueError, match="one user turn"):
        model.apply_chat_template(
            [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
        )
    model.engine.close()


@pytest.mark.parametrize(
    ("options", "asked", "most"),
    [
        ({}, {}, None),
        ({}, {"max_gen_toks": 32768}, 32768),
        ({"answer_tokens": 64}, {}, 64),
        ({"answer_tokens": 64}, {"max_gen_toks": 16}, 16),
        ({"answer_tokens": 16}, {"max_new_tokens": 64}, 16),
    ],
)
def test_the_smaller_of_the_two_limits_of_an_answer_counts(options, asked, most):
    from s1lab.interop.lm_eval import S1Lab

    model = object.__new__(S1Lab)
    model.budget = lab.Budget(**options)
    assert model._sampling(asked) == (0.0, 1.0, most)


def test_a_question_that_fails_is_counted(caplog):
    from lm_eval.api.instance import Instance

    from s1lab.interop.lm_eval import S1Lab

    model = S1Lab(pretrained="s1-tiny", max_model_len=64, max_tokens=8, batch_size=4)
    asked = [
        Instance("generate_until", {}, (text, {"until": [], "temperature": 0.0}), place)
        for place, text in enumerate(
            ["How many r in raspberry?", "How many r in " + "raspberry" * 30 + "?"]
        )
    ]
    first, second = model.generate_until(asked, disable_tqdm=True)
    assert first and second == "" and model.get_model_info()["s1lab"]["failed"] == 1
    assert "could not be run" in caplog.text
    model.engine.close()


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "sesame"},
        {"API_KEY": "sesame"},
        {"apikey": "sesame"},
        {"client_secret": "sesame"},
        {"headers": {"Authorization": "sesame"}},
    ],
)
def test_a_key_is_refused_and_its_place_is_named(options):
    from s1lab.interop.lm_eval import S1Lab

    with pytest.raises(ValueError, match="S1LAB_API_KEY") as refused:
        S1Lab("http://127.0.0.1:9/v1", **options)
    assert "sesame" not in str(refused.value) and next(iter(options)) in str(refused.value)
    with pytest.raises(ValueError, match="S1LAB_API_KEY") as refused:
        S1Lab("http://me:sesame@127.0.0.1:9/v1")
    assert "sesame" not in str(refused.value)


def test_the_harness_neither_prints_a_key_nor_writes_it(caplog, tmp_path, task):
    import s1lab.interop.lm_eval  # noqa: F401

    with caplog.at_level("DEBUG"), pytest.raises(ValueError, match="S1LAB_API_KEY"):
        lm_eval.simple_evaluate(
            model="s1lab", model_args="model=http://127.0.0.1:9/v1,api_key=sesame",
            tasks=["embedded"],
        )  # fmt: skip
    assert "Initializing" in caplog.text and "sesame" not in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("given", ["api_key=sesame", "model=s1-tiny,api_key=sesame,waits=1"])
def test_the_command_refuses_a_key_before_it_does_anything(given, tmp_path):
    command = [sys.executable, "-m", "s1lab.interop.lm_eval", "--model", "s1lab"]
    command += ["--model_args", given, "--tasks", "embedded", "--output_path", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | QUIET)
    assert ran.returncode == 1 and "S1LAB_API_KEY" in ran.stderr
    assert "sesame" not in ran.stdout + ran.stderr and not list(tmp_path.iterdir())


def test_a_comma_in_a_text_of_model_args_is_told_how_to_write_it():
    from lm_eval.utils import simple_parse_args_string

    from s1lab.interop.lm_eval import S1Lab

    options = simple_parse_args_string("model=s1-tiny,wait=Hmm, let me see,waits=1")
    with pytest.raises(ValueError, match=r"' let me see'.* as JSON"):
        S1Lab(**options)
    taken = S1Lab(**json.loads('{"model": "s1-tiny", "wait": "Hmm, let me see", "waits": 1}'))
    assert taken.budget == lab.Budget(waits=1, wait="Hmm, let me see")
    assert S1Lab(**simple_parse_args_string("model=s1-tiny,max_tokens=None")).budget == lab.Budget()
