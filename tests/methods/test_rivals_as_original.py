"""The paper's rivals as the original runs them: cases spelled out as data, each with the place of
the original that decides it.

Places are of its repository simplescaling/s1: "harness" is its
eval/lm-evaluation-harness/lm_eval/models/vllm_causallms.py, "tasks" the utils.py of its tasks
beside it (lm_eval/tasks/aime/utils.py; openai_math's and gpqa's begin alike), "commands" its
eval/commands.sh, "stats" its eval/compute_sample_stats.py.
"""

from __future__ import annotations

import pytest

import s1lab as lab
from s1lab.engine import Completion, Request
from s1lab.methods import conditional as control
from s1lab.tokenization.bound_template import BoundTemplate
from tests.helpers.scripted import Scripted

PROMPT = "<|im_start|>user\nHow many r?{asked}<|im_end|>\n<|im_start|>assistant\n"


class Written(Scripted):
    """An engine that writes given texts, one a request of thinking, and then an answer behind the
    bare close.
    """

    def __init__(self, template: BoundTemplate, *thoughts: str, context: int = 4096) -> None:
        super().__init__(template, self._next, context)
        self.thoughts, self.tries = thoughts, 0

    def _next(self, text: str) -> str:
        if text.endswith(("<|im_start|>answer", "<|im_start|>answer\n", "Final Answer:")):
            return "\n3<|im_end|>"
        self.tries += 1
        return self.thoughts[min(self.tries, len(self.thoughts)) - 1]


class Whole(Scripted):
    """A model that writes one text behind the prompt, whatever it is asked for in pieces; then its
    answer.
    """

    def __init__(
        self, template: BoundTemplate, text: str, opening: str = "<|im_start|>", context: int = 4096
    ) -> None:
        super().__init__(template, self._rest, context)
        self.text, self.opening = text, opening

    def _rest(self, so_far: str) -> str:
        written = so_far.split("<|im_start|>assistant\n" + self.opening, 1)[1]
        if self.text.startswith(written) and written != self.text:
            return self.text[len(written) :]
        return "\n3<|im_end|>"


# What is asked, lines 10 to 19 of tasks: QUERY_TEMPLATE = '{Question}\n\nThink for up to ' +
# os.getenv("PROMPTSTEP") + ' steps.', and its like. All four begin with two newlines.
ASKED = {
    "PROMPTSTEP=16": (
        lambda q: control.asking_steps(q, 16),
        "How many r?\n\nThink for up to 16 steps.",
    ),
    "PROMPTTOKEN=2048": (
        lambda q: control.asking_tokens(q, 2048),
        "How many r?\n\nThink for up to 2048 tokens.",
    ),
    "PROMPTLONG=true": (
        lambda q: control.asking_class(q, "long"),
        "How many r?\n\nAnswer after a long amount of thinking. If you feel like you are finished "
        "early, spend the extra time trying to double-check your work until you are absolutely "
        "sure that you have the correct answer.",
    ),
    "PROMPTSHORT=true": (
        lambda q: control.asking_class(q, "short"),
        "How many r?\n\nAnswer after a short amount of thinking. Do not spend excessive time "
        "double-checking your work.",
    ),
    "none of them": (lambda q: control.asking_class(q, None), "How many r?"),
}


@pytest.mark.parametrize("variable", ASKED)
def test_what_is_asked_is_the_text_of_the_originals_task(variable):
    asking, text = ASKED[variable]
    assert asking("How many r?") == text


# Rejection sampling. limit, what each try would write, then: the thought that is taken, tries,
# tokens thrown away. In harness, max_tokens is the limit + 1, and a try is saved where
# len(o.outputs[0].token_ids) <= max_tokens - 1. For a try that stopped, token_ids has the stop, as
# the comment above the line that takes it off says. A letter is a token here.
TRIES = {
    "a thought of the limit is rejected, with its stop it is one more": (
        4,
        ["abcd<|im_start|>", "abc<|im_start|>"],
        "abc",
        2,
        4,
    ),
    "a thought of the limit less one is taken": (5, ["abcd<|im_start|>"], "abcd", 1, 0),
    "an end of sequence is a stop like the delimiter": (
        4,
        ["abcd<|im_end|>", "abc<|im_end|>"],
        "abc",
        2,
        4,
    ),
    "a try that never stops has limit + 1 tokens": (
        4,
        ["abcdefgh<|im_start|>", "a<|im_start|>"],
        "a",
        2,
        5,
    ),
    "an empty thought is its stop alone": (1, ["a<|im_start|>", "<|im_start|>"], "", 2, 1),
    "it asks as often as it takes": (
        3,
        ["abc<|im_start|>"] * 99 + ["ab<|im_start|>"],
        "ab",
        100,
        297,
    ),
}


@pytest.mark.parametrize("name", TRIES)
def test_a_try_is_taken_where_its_ids_with_the_stop_are_within_the_limit(template, name):
    limit, thoughts, taken, tries, dropped = TRIES[name]
    engine = Written(template, *thoughts)
    trace = lab.methods.reject(engine, "How many r?", limit, as_original=True, most_tokens=1000)
    # The opening is thinking_start, without a newline; an own stop is closed with thinking_end
    # alone (last lines of the branch).
    assert trace.text == f"{PROMPT.format(asked='')}<|im_start|>think{taken}<|im_start|>answer\n3"
    assert (
        trace.counts == {"tries": tries, "fits": 1}
        and trace.dropped == dropped
        and not trace.cut
        and trace.error is None
    )
    asked = [r for r in engine.requests if r.max_tokens == limit + 1]
    assert len(asked) == tries == len({r.seed for r in asked})


def test_our_own_rule_takes_a_thought_of_the_limit_and_gives_up(template):
    trace = lab.methods.reject(Written(template, "abcd<|im_start|>"), "How many r?", 4)
    assert trace.thinking == "abcd" and trace.counts == {"tries": 1, "fits": 1}
    assert (
        lab.methods.reject(Written(template, "abcde<|im_start|>"), "How many r?", 4).counts["tries"]
        == 64
    )


# The original has no end; here it is a total of thinking tokens. limit 4, tries of 4 tokens and of
# 5 (cut at limit + 1).
@pytest.mark.parametrize(
    ("thought", "most", "tries"),
    [
        ("abcd", 5, 1),
        ("abcd", 8, 1),
        ("abcd", 9, 2),
        ("abcd", 12, 2),
        ("abcd", 13, 3),
        ("abcdef", 9, 1),
        ("abcdef", 10, 2),
    ],
)
def test_the_total_of_tokens_ends_it_without_an_answer(template, thought, most, tries):
    engine = Written(template, thought + "<|im_start|>")
    trace = lab.methods.reject(engine, "How many r?", 4, as_original=True, most_tokens=most)
    assert engine.tries == tries == trace.counts["tries"] and trace.counts["fits"] == 0
    assert trace.dropped == tries * min(5, len(thought)) <= most
    assert not trace.cut and not trace.answer and trace.thinking_tokens == 0
    assert (
        f"{tries} tries" in trace.error
        and f"most_tokens={most}" in trace.error
        and "\n" not in trace.error
    )


def test_a_higher_total_goes_on_behind_the_tries_that_are_stored(template, tmp_path):
    options = {"as_original": True, "store": tmp_path / "x.db"}
    first = Written(template, "abcd<|im_start|>")
    assert (
        lab.methods.reject(first, "How many r?", 4, most_tokens=13, **options).error
        and first.tries == 3
    )
    second = Written(template, "ab<|im_start|>")
    trace = lab.methods.reject(second, "How many r?", 4, most_tokens=100, **options)
    assert trace.counts == {"tries": 4, "fits": 1} and second.tries == 1 and trace.error is None


def test_a_failed_try_is_the_questions_error(template):
    class Failing(Written):
        def poll(self) -> list[tuple[int, Completion]]:
            return [
                (key, Completion(done.ids[:2], error="the server died"))
                for key, done in super().poll()
            ]

    trace = lab.methods.reject(
        Failing(template, "abcd<|im_start|>"), "How many r?", 9, as_original=True, most_tokens=99
    )
    assert trace.error == "the server died" and trace.thinking == "ab" and trace.counts["fits"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"as_original": True}, ["as_original=True", "most_tokens="]),
        ({"as_original": True, "most_tokens": 99, "tries": 3}, ["tries=3", "most_tokens"]),
        ({"as_original": True, "most_tokens": 4}, ["most_tokens=4", "5 tokens"]),
        ({"as_original": True, "most_tokens": 0}, ["most_tokens=0"]),
        ({"as_original": True, "most_tokens": 9.5}, ["most_tokens=9.5"]),
        ({"most_tokens": 99}, ["most_tokens=99", "as_original=True"]),
    ],
)
def test_a_bound_that_can_not_be_is_told_in_one_sentence(template, options, words):
    engine = Written(template, "abc<|im_start|>")
    with pytest.raises(ValueError) as error:
        lab.methods.reject(engine, "How many r?", 4, **options)
    assert (
        all(word in str(error.value) for word in words)
        and "\n" not in str(error.value)
        and not engine.requests
    )


# Step control with budget forcing: what the model would write behind the bare delimiter; then the
# text from there to the answer, steps and tokens of their first lines. commands gives
# thinking_start=<|im_start|>, until_thinking=<|im_start|>0, thinking_end=<|im_start|>answer;
# max_tokens_thinking=auto.
STEPS = {
    # The model's own number is what counts: 3 where 16 were asked for, 20 where they were 16
    # (nothing compares them).
    "fewer than asked": (
        "3 steps left\na\n<|im_start|>2 steps left\nb\n<|im_start|>1 steps left\nc\n"
        "<|im_start|>0 steps left\n",
        "3 steps left\na\n<|im_start|>2 steps left\nb\n<|im_start|>1 steps left\nc\n"
        "<|im_start|>answer\n3",
        3,
    ),
    "more than asked": (
        "20 steps left\na\n<|im_start|>19 steps left\nb\n<|im_start|>0 steps left\n",
        "20 steps left\na\n<|im_start|>19 steps left\nb\n<|im_start|>answer\n3",
        2,
    ),
    # The delimiter alone is no end, since until_thinking is longer: 10 goes on, and so does a
    # header without a number.
    "a number with a 0 at its end": (
        "10 steps left\na\n<|im_start|>steps\nb\n<|im_start|>0 steps left\n",
        "10 steps left\na\n<|im_start|>steps\nb\n<|im_start|>answer\n3",
        1,
    ),
    # The first number stands behind thinking_start, which is in the prompt: the text that was
    # written has no "<|im_start|>0".
    "a 0 at once": (
        "0 steps left\na\n<|im_start|>0 steps left\n",
        "0 steps left\na\n<|im_start|>answer\n3",
        1,
    ),
    # Two delimiters: the text holds "<|im_start|>0" from the second one on, and only its two ids
    # are taken off.
    "a delimiter behind a delimiter": (
        "2 steps left\na\n<|im_start|><|im_start|>0 steps left\n",
        "2 steps left\na\n<|im_start|><|im_start|>answer\n3",
        1,
    ),
    # generate_until adds the end of sequence to `until`, so it ends the thinking; the answer before
    # it is no end.
    "an answer of the model's own": (
        "1 steps left\na\n<|im_start|>answer\nAnswer: 3<|im_end|>",
        "1 steps left\na\n<|im_start|>answer\nAnswer: 3<|im_start|>answer\n3",
        1,
    ),
    # An end of sequence right behind a delimiter: of the ids only the end is taken off.
    "an end behind a delimiter": (
        "1 steps left\na\n<|im_start|><|im_end|>",
        "1 steps left\na\n<|im_start|><|im_start|>answer\n3",
        1,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_models_zero_ends_its_steps(template, name):
    writes, reads, steps = STEPS[name]
    trace = lab.methods.step_conditional(
        Whole(template, writes), "How many r?", 16, force=True, as_original=True
    )
    asked = "\n\nThink for up to 16 steps."
    assert trace.text == PROMPT.format(asked=asked) + "<|im_start|>" + reads
    assert (
        trace.counts["steps"] == steps
        and not trace.cut
        and trace.error is None
        and trace.answer == "3"
    )
    assert bool(trace.notes) is (name == "an answer of the model's own")


def test_tokens_of_first_lines_are_counted_apart(template):
    """stats: "\\n".join(step.split("\\n")[1:]) of each step, so all before its first newline is no
    thinking token.
    """
    engine = Whole(
        template, "3 steps left\na\nb\n<|im_start|>2 steps left\nc\n<|im_start|>no line<|im_end|>"
    )
    trace = lab.methods.step_conditional(engine, "How many r?", 4, force=True, as_original=True)
    delimiters = ["3 steps left\n", "<|im_start|>2 steps left\n", "<|im_start|>no line"]
    assert trace.counts == {
        "steps": 2,
        "delimiter_tokens": sum(len(template.encode(text)) for text in delimiters),
    }
    assert trace.thinking_tokens == trace.counts["delimiter_tokens"] + len(
        template.encode("a\nb\nc\n")
    )


# harness, finish_reason "length": a newline unless the text ends in one, then thinking_end and
# "\nFinal Answer:".
@pytest.mark.parametrize(
    ("cap", "thinking"),
    [("2 steps left\na", "2 steps left\na\n"), ("2 steps left\n", "2 steps left\n")],
)
def test_a_cap_closes_the_steps_as_everywhere(template, cap, thinking):
    budget = lab.Budget(max_tokens=len(template.encode(cap)))
    engine = Whole(template, "2 steps left\na lot\n<|im_start|>0 steps left\n")
    trace = lab.methods.step_conditional(
        engine, "How many r?", 2, budget, force=True, as_original=True
    )
    assert trace.cut and trace.text.endswith(
        f"assistant\n<|im_start|>{thinking}<|im_start|>answer\nFinal Answer:\n3"
    )


def test_a_cap_holds_wherever_it_falls(template):
    writes = "2 steps left\na\n<|im_start|>1 steps left\nb\n<|im_start|>0 steps left\n"
    whole = len(template.encode(writes[: writes.index("<|im_start|>0")]))
    for cap in range(1, whole + 4):
        trace = lab.methods.step_conditional(
            Whole(template, writes),
            "How many r?",
            2,
            lab.Budget(max_tokens=cap),
            force=True,
            as_original=True,
        )
        # Delimiter and 0 are two tokens of the request: the cap comes first where it has no room
        # for both.
        assert trace.cut is (cap < whole + 2) and trace.thinking_tokens == min(
            cap, whole + (cap == whole + 1)
        ), cap


def test_without_forcing_the_first_delimiter_ends_the_steps(template):
    """commands, "Step-conditional control": no thinking_start and no until_thinking, so think opens
    and <|im_start|> ends.
    """
    engine = Whole(template, "\nso\n<|im_start|>16 steps left\n", opening="<|im_start|>think")
    trace = lab.methods.step_conditional(engine, "How many r?", 16, as_original=True)
    assert (
        trace.text
        == PROMPT.format(asked="\n\nThink for up to 16 steps.")
        + "<|im_start|>think\nso\n<|im_start|>answer\n3"
    )
    assert trace.counts == {"steps": 0, "delimiter_tokens": 1}


def test_such_runs_say_so_beside_their_results(template, tmp_path):
    lab.methods.step_conditional(
        Whole(template, "0 steps left\n<|im_end|>"),
        "How many r?",
        2,
        force=True,
        as_original=True,
        store=tmp_path / "s.db",
    )
    lab.methods.reject(
        Written(template, "a<|im_start|>"),
        "How many r?",
        4,
        as_original=True,
        most_tokens=9,
        store=tmp_path / "r.db",
    )
    steps, tries = (lab.storage.read_run(tmp_path / f"{name}.db").made for name in "sr")
    assert (
        steps["as_original"]
        and tries["as_original"]
        and steps["semantics"] == tries["semantics"] == "harness"
    )
    assert tries["most_tokens"] == 9 and "tries" not in tries


def test_what_is_fed_is_what_is_recorded(template):
    engine = Whole(
        template, "2 steps left\na\n<|im_start|>1 steps left\nb\n<|im_start|>0 steps left\n"
    )
    trace = lab.methods.step_conditional(engine, "How many r?", 2, force=True, as_original=True)
    asked: list[Request] = engine.requests
    mark = template.encode("<|im_start|>")
    for request in asked:
        fed = list(request.ids)
        assert fed == trace.ids[: len(fed)] or fed == trace.ids[: len(fed) - 1] + mark
    assert len(trace.ids) == len(trace.source)
    assert trace.dropped == 2  # the last delimiter and its 0
