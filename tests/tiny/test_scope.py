"""Which questions the embedded models know, and what is said where one is none of them."""

from __future__ import annotations

import pytest

import s1lab as lab


def test_every_question_of_the_world_belongs_to_its_family():
    problems = lab.tiny.problems(120, seed=3)
    assert [lab.tiny.family_of(q) for q in problems["question"]] == problems["family"]
    assert {family: lab.tiny.family_of(q) for family, q in lab.tiny.EXAMPLES.items()} == {
        family: family for family in lab.tiny.FAMILIES
    }
    assert [lab.tiny.solve(q).family for q in lab.tiny.EXAMPLES.values()] == list(lab.tiny.FAMILIES)


@pytest.mark.parametrize(
    "question", ["hi", "What is the capital of France?", "how many r in a", ""]
)
def test_another_question_belongs_to_none(question):
    assert lab.tiny.family_of(question) is None
    note = lab.tiny.scope_note("s1-tiny", question)
    assert note.startswith("s1-tiny was taught six kinds of questions only")
    assert "\n" not in note and lab.tiny.EXAMPLES["letters"] in note


def test_a_known_question_and_another_model_get_no_note():
    talk = [{"role": "user", "content": "How many r in raspberry?"}]
    asking = "How many r in raspberry?\n\nThink for up to 64 tokens."
    for model, question in (
        ("s1-tiny", "How many r in raspberry"),
        ("s1-tiny-base", talk),
        ("s1-tiny-tcc", asking),
        ("Qwen/Qwen3-0.6B", "hi"),
        ("/models/s1-tiny", "hi"),
    ):
        assert lab.tiny.scope_note(model, question) is None, model
    assert lab.tiny.scope_note("s1-tiny", [{"role": "user", "content": "hi"}])
