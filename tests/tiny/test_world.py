"""The embedded world: right answers, splits apart, the same on any machine."""

from __future__ import annotations

import itertools
import json
import random
import re

import pytest

import s1lab as lab
from s1lab import curate
from s1lab.tiny.ablations import ablations as stored_ablations
from s1lab.tiny.teacher import dialogue, drill, trace
from s1lab.tiny.tokenizer import build
from s1lab.tiny.world import BENCHMARK_SEED, FAMILIES, SIZES, split_of, stream
from tools.tiny import ablations
from tools.tiny.make import pretraining_problems
from tools.tiny.rows import _lines_written, encoded, sft_rows


def check(family: str, question: str, answer: str) -> bool:
    """Whether an answer is right, worked out from the question alone, by other means than the
    world's own.
    """
    numbers = [int(n) for n in re.findall(r"\d+", question)]
    if family == "letters":
        letter, word = re.fullmatch(r"How many (.) in (\w+)\?", question).groups()
        return int(answer) == word.count(letter)
    if family == "modular":
        a, b, m = numbers
        return next(x for x in range(1, m + 1) if (a * x - b) % m == 0) == int(answer)
    if family == "pair":
        *given, target = numbers
        return answer in [
            f"{a}+{b}" for a, b in itertools.combinations(given, 2) if a + b == target
        ]
    if family == "signs":
        *given, target = numbers
        terms = [int(t) for t in re.findall(r"[+-]?\d+", answer)]
        return [abs(t) for t in terms] == given and sum(terms) == target
    if family == "order":
        pairs = re.findall(r"(\w+) < (\w+)", question)
        return {answer} == {b for _, b in pairs} - {a for a, _ in pairs}
    if family == "gcd":
        a, b = numbers
        return int(answer) == max(d for d in range(1, b + 1) if a % d == b % d == 0)
    raise AssertionError(family)


def test_every_answer_is_right_and_every_size_of_every_family_is_there():
    problems = list(itertools.islice(stream(11, "train"), 1800))
    assert {(p.family, p.size) for p in problems} == set(itertools.product(FAMILIES, SIZES))
    for p in problems:
        assert check(p.family, p.question, p.answer), p
        assert p.guesses[-1] == p.answer and len(p.guesses) == len(p.lines) + 1
        assert p.lines[-1].endswith("yes") and not any(
            line.endswith("yes") for line in p.lines[:-1]
        )


def test_sizes_differ_in_the_length_of_the_search():
    problems = list(itertools.islice(stream(12, "train"), 1800))
    for family in FAMILIES:
        lengths = [
            [len(p.lines) for p in problems if (p.family, p.size) == (family, size)]
            for size in SIZES
        ]
        small, medium, large = (sum(n) / len(n) for n in lengths)
        assert small < medium < large


def test_same_seed_same_rows_and_other_seed_other_rows():
    first, again, other = (lab.tiny.problems(60, seed=s) for s in (4, 4, 5))
    assert first.to_list() == again.to_list() != other.to_list()
    assert first.column_names[:4] == ["question", "answer", "kind", "family"]
    # Fixed by content: a change of the world that moves these must say so in the CHANGELOG.
    assert (
        lab.tiny.problems(2, seed=0)["question"] == lab.tiny.problems(100, seed=0)["question"][:2]
    )


def test_splits_never_share_a_question():
    sets = {
        split: set(lab.tiny.problems(1500, seed=1, split=split)["question"])
        for split in ("train", "dev", "test")
    }
    for a, b in itertools.combinations(sets.values(), 2):
        assert not a & b
    for split, questions in sets.items():
        assert {split_of(q) for q in questions} == {split}


def test_families_can_be_chosen():
    assert set(lab.tiny.problems(12, families=["letters", "gcd"])["family"]) == {"letters", "gcd"}


def test_training_reads_no_test_question():
    """By construction, the split being a hash of the question; here read off the very documents
    that training is fed.
    """
    tested = {q.rstrip("?.") for q in lab.tiny.problems(500, seed=BENCHMARK_SEED)["question"]}
    rng = random.Random(0)
    fed = []
    for problem in itertools.islice(pretraining_problems(), 4000):
        fed += [piece.text for piece in dialogue(problem, rng) + drill(problem, rng)]
    for problem in itertools.islice(
        stream(1000, "train"), 1000
    ):  # the pool that fine-tuning chooses from
        fed += [piece.text for piece in trace(problem, rng, waits=1)]
    asked = {
        text.split("user\n")[1].split("<|im_end|>")[0].rstrip("?.")
        for text in fed
        if "user\n" in text
    }
    assert len(asked) > 4000 and not asked & tested
    assert not [text for text in fed if "raspberry" in text]


@pytest.mark.parametrize(
    "text",
    [
        "How many r in raspberry?",
        " \t\n\r\n  x",
        "日本語 и кириллица é ñ 👩‍🚀",
        "<script>alert(1)</script>",
        "1 7+7=14-11=3 5 no\n",
        "\x00\x7f",
        "a" * 500,
        "<|im_start|>think",
    ],
)
def test_any_text_is_encoded_and_decoded_unchanged(text):
    tokenizer = build()
    assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


def test_the_chat_template_carries_a_system_and_a_user_turn():
    tokenizer = build()
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert (
        text == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_specials_are_single_tokens_and_the_shipped_tokenizer_is_the_built_one(tiny, tiny_base):
    built = build()
    for special in ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|fim_pad|>"):
        assert len(built.encode(special)) == 1
    for engine in (tiny, tiny_base):
        assert engine.template.tokenizer.get_vocab() == built.get_vocab()


def test_the_teacher_stops_too_early_goes_on_after_a_wait_and_repeats_itself_when_done():
    problem = next(p for p in stream(3, "train", ["letters"]) if len(p.lines) == 9)
    thinking = [p.text for p in trace(problem, random.Random(0), waits=2)]
    assert (
        thinking[2].startswith("\n1 ")
        and thinking[2].count("\n") == 9
        and thinking[2].endswith("stop\n")
    )
    assert thinking[4].startswith("\n8 ") and thinking[4].endswith("yes\n")
    assert thinking[6] == f"\n9 {problem.lines[-1]}\n"
    assert thinking[-1] == f"Answer: {problem.answer}<|im_end|>"


def test_loss_falls_on_what_the_model_is_to_write_and_on_nothing_forced():
    tokenizer = build()
    problem = next(p for p in stream(3, "train", ["modular"]) if len(p.lines) > 14)
    ids, labels = encoded(tokenizer, trace(problem, random.Random(0), waits=1))
    learned = tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label != -100])
    spared = tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label == -100])
    assert "Wait" not in learned and "user" not in learned and "think" not in learned
    assert learned.startswith("\n1 ") and learned.endswith(
        f"<|im_start|>answer\nAnswer: {problem.guesses[14]}<|im_end|>"
    )
    assert spared.endswith("<|im_start|>thinkWait") or spared.endswith(("Hmm", "Alternatively"))


def test_cut_rows_answer_with_what_was_found_until_the_cut():
    tokenizer = build()
    chosen = list(itertools.islice(stream(3, "train"), 200))
    cut = 0
    for problem, row in zip(chosen, sft_rows(tokenizer, chosen, 0), strict=True):
        assert [
            i
            for i, label in zip(row["input_ids"], row["labels"], strict=True)
            if label not in (-100, i)
        ] == []
        text = tokenizer.decode(row["input_ids"])
        thinking = text.split("<|im_start|>think\n")[1].split("<|im_start|>answer")[0]
        if "Final Answer:" in text:
            cut += 1
            assert text.endswith(
                "Final Answer: "
                f"{problem.guesses[_lines_written(problem, thinking.rstrip())]}<|im_end|>"
            )
    assert 20 < cut < 60


def test_the_stored_ablations_are_whole():
    """Every set with each seed, each model asked the whole benchmark; what the figures are drawn
    from.
    """
    runs = stored_ablations()
    assert sorted((run["set"], run["seed"]) for run in runs) == sorted(
        (name, seed) for name in ablations.SETS for seed in range(3)
    )
    for run in runs:
        assert {len(bits) for bits in run["correct"].values()} == {len(lab.tiny.benchmark())}
        assert (
            set(run["correct"])
            == set(run["thinking_tokens"])
            == {"cap 64", "cap 256", "own stop", "2 Waits"}
        )
        assert run["steps"] == 315 or run["set"] == "full"
        assert (
            run["thinking_tokens"]["cap 64"] <= 64
            and run["thinking_tokens"]["own stop"] < run["thinking_tokens"]["2 Waits"]
        )
    for name in {run["set"] for run in runs}:
        mine = [run for run in runs if run["set"] == name]
        assert [run["seed"] for run in mine] == list(range(len(mine)))
        assert len({run["correct"]["own stop"] for run in mine}) == len(
            mine
        )  # another seed is another model


@pytest.mark.long
def test_a_seed_draws_its_sets_again_and_another_seed_others():
    pool = lab.tiny.pool(3000, 5)
    pool = curate.count_tokens(curate.quality(pool, progress=False)[0], build())
    for name in ("s1K", "1K-random", "1K-diverse", "1K-longest", "full"):
        first, again, other = (ablations.draw(name, pool, seed) for seed in (0, 0, 1))
        assert first["question"] == again["question"]
        assert (first["question"] == other["question"]) == (name in ("1K-longest", "full"))
        assert len(first) == (len(pool) if name == "full" else 1000)
        if name == "1K-longest":
            assert min(first["thinking_tokens"]) > sorted(pool["thinking_tokens"])[-1100]


def test_outcomes_of_another_base_or_other_questions_are_not_kept(tmp_path):
    path = tmp_path / "ablations.json"
    made = {"base": "a", "seed": 1, "questions": 500}
    assert ablations.kept(path, made) == []
    path.write_text(json.dumps({**made, "runs": [{"set": "s1K", "seed": 0}]}))
    assert ablations.kept(path, made) == [{"set": "s1K", "seed": 0}]
    assert (
        ablations.kept(path, made | {"base": "b"})
        == ablations.kept(path, made | {"questions": 400})
        == []
    )
