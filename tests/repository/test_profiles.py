"""Profiles are data: plain values, known names, and nothing in them that runs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

import s1lab as lab
from tools import ROOT
from tools import rehearse as dry
from tools.profiles import Profile, profiles, read_profile
from tools.reproduce import Failed, run_notebooks

QUICK = (ROOT / "notebooks" / "00_quickstart.ipynb").read_bytes()


@pytest.fixture
def root(tmp_path):
    """A project of one notebook, and a way to give it a profile."""
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "00_quickstart.ipynb").write_bytes(QUICK)
    return tmp_path


def write(root: Path, text: str | bytes) -> Path:
    path = root / "notebooks" / "profiles" / "odd.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def small_notebook(root: Path, name: str, source: str) -> None:
    cells = [
        nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(source),
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "notebooks" / f"{name}.ipynb"
    )


@pytest.mark.parametrize("name", profiles())
def test_every_profile_reads_and_says_its_machine(name):
    profile = read_profile(name)
    assert profile.notebooks and (name == "tiny") == (profile.machine.gpus == 0)
    results = {given["results"] for given in profile.notebooks.values()}
    assert results == {f"../runs/{name}"}, "one profile's results would be taken for another's"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("00_quickstart: {modle: s1-tiny}", "parameters that it does not know: ['modle']"),
        ("00_quickstart: {cap: 2025-01-01}", "cap of 00_quickstart is datetime.date"),
        ("00_quickstart: {cap: [[[[[[1]]]]]]}", "give a number, a text, a list or a mapping"),
        ("99_missing: {cap: 1}", "notebooks/99_missing.ipynb"),
        ("../profiles/x: {cap: 1}", "no notebook's name"),
        ("a: &a [1]\n00_quickstart: {caps: *a}", "has references"),
        ("00_quickstart: {question: !!python/object/apply:os.system ['true']}", "is no YAML"),
        ("- 1\n- 2", "no mapping"),
        ("00_quickstart: 3", "no mapping"),
        ("", "no mapping"),
        ("[" * 20_001, "larger than 20,000 bytes"),
        ("- " * 9_000, ""),
        ("[" * 19_000, ""),
        (b"\xff\xfe\x00", "is no YAML"),
        ("x: '" + "a" * 200_000 + "'", "larger than 20,000 bytes"),
        ("machine: {gpu: H100, ram: 3}\n00_quickstart: {cap: 1}", "unknown fields ['ram']"),
        ("machine: {gpus: -1}\n00_quickstart: {cap: 1}", "gpus is -1"),
        ("machine: {gpus: 1, price: }\n00_quickstart: {cap: 1}", "price is None"),
        ("machine: {memory_gb: null}\n00_quickstart: {cap: 1}", "memory_gb is None"),
        ("machine: 3\n00_quickstart: {cap: 1}", "machine is no mapping"),
        ("00_quickstart: {cap: 1}\n00_quickstart: {cap: 2}", "'00_quickstart' twice"),
        ("00_quickstart: {caps: [1], caps: [2]}", "'caps' twice"),
        (
            "00_quickstart: {engine_options: {api_key: sk-1}}",
            "api_key of 00_quickstart would be written",
        ),
        (
            "00_quickstart: {model: 'http://me:pass@host/v1'}",
            "model of 00_quickstart would be written",
        ),
        ("00_quickstart: {caps: 16}", "give something of the kind of [16, 32, 64, 128]"),
        ("00_quickstart: {caps: [a]}", "caps of 00_quickstart is ['a']"),
        ("00_quickstart: {cap: -5}", "cap of 00_quickstart is -5"),
        ("00_quickstart: {benchmark: 3}", "benchmark of 00_quickstart is 3"),
        ("00_quickstart: {engine_options: [1]}", "engine_options of 00_quickstart is [1]"),
    ],
)
def test_a_bad_profile_is_one_sentence_that_names_it(root, text, says):
    write(root, text)
    with pytest.raises(ValueError, match="profile") as error:
        read_profile("odd", root)
    assert says in str(error.value) and "\n" not in str(error.value) and "odd" in str(error.value)


def test_a_hundred_mutated_profiles_end_in_a_profile_or_one_sentence(root):
    """Bytes taken out, put in, changed and repeated, in what is a good profile."""
    good = (
        b"machine: {gpus: 1, price: 2.5}\n00_quickstart:\n  cap: 24\n  caps: [16, 32]\n"
        b"  question: 'How many?'\n  results: x\n"
    )
    draw = random.Random(3)
    ends = {"read": 0, "refused": 0}
    for _ in range(100):
        text = bytearray(good)
        for _ in range(draw.randint(1, 2)):
            at = draw.randrange(len(text))
            what = draw.choice(
                [
                    b"",
                    b"\x00",
                    b"*",
                    b"&a ",
                    b"!!python/name:os.system ",
                    b": ",
                    b"\n",
                    b"[{",
                    b"\xf0",
                    b"'",
                    b"1e999",
                    b"7",
                    b" ",
                ]
            )
            text[at : at + draw.randint(0, 3)] = what
        write(root, bytes(text))
        try:
            assert isinstance(read_profile("odd", root), Profile)
            ends["read"] += 1
        except ValueError as why:
            assert "\n" not in str(why) and len(str(why)) < 600
            ends["refused"] += 1
    assert min(ends.values()) >= 5, ends


@pytest.mark.parametrize(
    "value",
    [
        "x'); open('HERE', 'w'); ('",
        '"""\nopen("HERE", "w")\n"""',
        "{open('HERE', 'w')}",
        "\\'\n;open('HERE','w')#",
    ],
)
def test_a_parameter_is_a_value_and_runs_nothing(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    notebook = load_notebook_node(str(ROOT / "notebooks" / "00_quickstart.ipynb"))
    filled = parameterize_notebook(
        notebook, {"question": value, "engine_options": {value: [value]}}
    )
    cell = next(c for c in filled.cells if "injected-parameters" in c.metadata.get("tags", []))
    scope: dict = {}
    exec(cell.source, scope)
    assert scope["question"] == value and scope["engine_options"] == {value: [value]}
    assert not (tmp_path / "HERE").exists()


@pytest.mark.long
def test_notebooks_run_side_by_side_and_one_that_fails_leaves_the_others_finished(root, capfd):
    small_notebook(root, "10_good", "import time\ntime.sleep(3)\nprint(n)")
    small_notebook(root, "11_bad", "raise RuntimeError('the reason')")
    small_notebook(root, "12_never", "print(n)")
    write(root, "10_good: {n: 5}\n11_bad: {n: 6}\n12_never: {n: 7}\n")
    with pytest.raises(Failed, match="11_bad failed: RuntimeError: the reason"):
        run_notebooks("odd", jobs=2, root=root)
    folder = root / "runs" / "odd"
    assert "5" in str(nbformat.read(folder / "10_good.ipynb", 4).cells[-1].outputs)
    assert not (folder / "12_never.ipynb").exists() and not any(
        "injected" in str(c) for c in nbformat.reads(QUICK.decode(), 4).cells
    )
    assert "10_good took" in capfd.readouterr().out


@pytest.mark.long
def test_a_notebook_waits_for_the_one_whose_folder_it_names(root):
    """As 00 loads what 02 trained, in one-gpu."""
    small_notebook(
        root,
        "10_first",
        "import pathlib, time\ntime.sleep(3)\npathlib.Path('made').write_text('here')",
    )
    small_notebook(root, "11_second", "import pathlib\nprint(pathlib.Path('made').read_text(), n)")
    for name in ("10_first", "11_second"):
        path = root / "notebooks" / f"{name}.ipynb"
        path.write_text(path.read_text().replace('"n = 1"', "\"n = 'text'\""))
    write(root, "10_first: {n: a}\n11_second: {n: ../runs/odd/10_first-model}\n")
    executed = run_notebooks("odd", jobs=2, root=root)
    assert "here ../runs/odd/10_first-model" in str(nbformat.read(executed[1], 4).cells[-1].outputs)


def test_notebooks_that_wait_for_one_another_and_jobs_of_none_are_refused_before_any_runs(root):
    for name in ("10_first", "11_second"):
        small_notebook(root, name, "print(n)")
        path = root / "notebooks" / f"{name}.ipynb"
        path.write_text(path.read_text().replace('"n = 1"', "\"n = 'text'\""))
    write(root, "10_first: {n: ../runs/11_second}\n11_second: {n: ../runs/10_first}\n")
    with pytest.raises(ValueError, match="wait for one another"):
        run_notebooks("odd", root=root)
    write(root, "10_first: {n: x}\n")
    for jobs in (0, -1):
        with pytest.raises(ValueError, match=f"jobs={jobs}: give at least 1"):
            run_notebooks("odd", jobs=jobs, root=root)
    assert not (root / "runs").exists()


@pytest.mark.long
def test_plain_papermill_gets_checked_parameters():
    command = [sys.executable, "-m", "tools.profiles"]
    ran = subprocess.run(
        [*command, "s1-32b", "06_scaling"], capture_output=True, text=True, cwd=ROOT
    )
    assert yaml.safe_load(ran.stdout) == read_profile("s1-32b").notebooks["06_scaling"]
    for arguments in (["s1-32b", "99_none"], ["huge", "06_scaling"], []):
        ran = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=ROOT)
        assert (
            ran.returncode == 1 and ran.stderr.startswith("s1lab: ") and ran.stderr.count("\n") == 1
        )


@pytest.mark.long
def test_a_run_that_is_stopped_stops_its_notebooks(root):
    small_notebook(
        root,
        "10_long",
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
        "time.sleep(60)",
    )
    write(root, "10_long: {n: 5}\n")
    code = (
        "from tools.reproduce import run_notebooks; import pathlib; "
        f"run_notebooks('odd', root=pathlib.Path({str(root)!r}))"
    )
    code = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); {code}"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    pid = root / "notebooks" / "pid"
    for _ in range(600):
        if pid.exists() and pid.read_text():
            break
        time.sleep(0.1)
    process.terminate()
    assert process.wait(40) == 143
    for _ in range(100):
        if not Path(f"/proc/{pid.read_text()}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_mutated_run_files_end_in_a_run_or_one_sentence(tmp_path, scripted, template):
    engine = scripted(lambda text: "1\n<|im_start|>" if text.endswith("think\n") else "2<|im_end|>")
    problems = lab.tiny.problems(6, 1)
    good = lab.evaluate(engine, problems, progress=False).save(tmp_path / "good.jsonl").read_bytes()
    draw = random.Random(4)
    refused = 0
    for number in range(100):
        text = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(text))
            text[at : at + draw.randint(0, 40)] = draw.choice(
                [b"", b"\x00", b"null", b"-1", b"[]", b"{", b'"', b"1e400", b"\n", b"\xff"]
            )
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(bytes(text))
        try:
            lab.storage.read_run(path)
        except ValueError as why:
            assert "\n" not in str(why) and str(path.name) in str(why)
            refused += 1
    assert refused >= 20


@pytest.mark.long
def test_the_model_of_random_weights_has_qwens_layout_and_every_large_parameter_is_rehearsed(
    tmp_path,
):
    where = dry.model(tmp_path / "model")
    tokenizer = lab.load(str(where), dtype="float32").template.tokenizer
    assert (
        tokenizer.convert_tokens_to_ids("<|im_start|>") == 151_644
        and tokenizer.convert_tokens_to_ids("<|im_end|>") == 151_645
    )
    assert (
        len(tokenizer)
        == 151_665
        < json.loads((where / "config.json").read_text())["vocab_size"]
        == 152_064
    )
    for name in profiles():
        profile = read_profile(name)
        known = {
            n: set(papermill.inspect_notebook(str(ROOT / "notebooks" / f"{n}.ipynb")))
            for n in profile.notebooks
        }
        rehearsed = dry.rehearsal(profile, known, tmp_path, "http://127.0.0.1:1/v1")
        text = json.dumps(rehearsed.notebooks)
        assert "simplescaling" not in text and "Qwen/" not in text and "../" not in text, text
        assert all(set(given) <= known[n] for n, given in rehearsed.notebooks.items())
