"""The check of one server's reply, case by case."""

from __future__ import annotations

import pytest

from s1lab.engines.reply import MixedUpError, Reply, ReplyError, check, check_prompt

STOPS = frozenset({1, 2})
OUTSIDE = frozenset({50, 51})  # rows of the model beyond the tokenizer's vocabulary of 50


def read(ids, finish="stop", named=None, *, most=4, least=0, stops=STOPS, rows=52):
    choice = {"token_ids": ids, "finish_reason": finish, "stop_reason": named}
    return check(choice, most=most, least=least, stops=stops, vocabulary=50, rows=rows)


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        # The stop is among the ids, whatever is said beside them.
        (read([7, 1], "stop", 1), Reply((7,), 1)),
        (read([7, 1], "stop", None), Reply((7,), 1)),
        (read([7, 1], "length", None), Reply((7,), 1)),
        (read([7, 1], "stop", 9), Reply((7,), 1)),
        (read([7, 1], "stop", "###"), Reply((7,), 1)),
        (read([7, 1], "stop", 1.0), Reply((7,), 1)),
        (read([1], "stop", 1), Reply((), 1)),
        (read([7, 8, 9, 1], "stop", 1), Reply((7, 8, 9), 1)),
        # It is not, and it is named.
        (read([7, 8], "stop", 2), Reply((7, 8), 2)),
        (read([], "stop", 2), Reply((), 2)),
        # It is neither: "Answer: 42" keeps its 2.
        (read([7, 8], "stop", None), Reply((7, 8), unnamed=True)),
        (read([], "stop", None), Reply((), unnamed=True)),
        (read([7, 8], "stop", True), Reply((7, 8), unnamed=True)),
        (read([7, 8], "stop", None, stops=frozenset({1})), Reply((7, 8), unnamed=True)),
        (read([7, 8], "stop", None, stops=frozenset()), Reply((7, 8))),
        # Stops of the server's own are ordinary ids of the completion.
        (read([7, 8], "stop", 8), Reply((7, 8))),
        (read([7, 8], "stop", 9), Reply((7, 8, 9))),
        (read([7, 8], "stop", "###"), Reply((7, 8))),
        # Lengths: the number of ids decides, not the word.
        (read([7, 8, 9, 7], "length"), Reply((7, 8, 9, 7))),
        (read([7, 8, 9, 7], "stop"), Reply((7, 8, 9, 7))),
        (read([7, 8, 9, 7], "stop", 1), Reply((7, 8, 9, 7))),
        (read([7], "length"), Reply((7,))),
        (read([], "length"), Reply(())),
        (read([7], "length", least=3), Reply((7,))),
        # Ids that can't be decoded, and what was written after them.
        (read([7, 50], "stop", 50, stops=STOPS | OUTSIDE), Reply((7,), undecodable=True)),
        (read([7], "stop", 51, stops=STOPS | OUTSIDE), Reply((7,), undecodable=True)),
        (read([7, 51, 8, 1], "stop", 1, stops=STOPS | OUTSIDE), Reply((7,), undecodable=True)),
        (read([50], "stop", 50, least=2, stops=STOPS | OUTSIDE), Reply((), undecodable=True)),
        (read([7, 900], "length", rows=None), Reply((7,), undecodable=True)),
        (read([7], "stop", 900, rows=None), Reply((7,), undecodable=True)),
    ],
)
def test_what_a_reply_means(reply, means):
    assert reply == means


@pytest.mark.parametrize(
    ("ids", "finish", "named", "options", "words"),
    [
        ([7] * 5, "length", None, {}, "5 ids where at most 4"),
        ([7] * 4 + [1], "stop", 1, {}, "5 ids where at most 4"),
        ([7, 1, 8], "length", None, {}, "1 more ids after the stop 1"),
        ([1, 1], "stop", 1, {}, "1 more ids after the stop 1"),
        ([1, 50], "stop", 50, {"stops": STOPS | OUTSIDE}, "1 more ids after the stop 1"),
        ([7, 1], "stop", 2, {}, "wrote the stop 1 and says that it stopped at 2"),
        ([7, 1], "stop", 1, {"least": 2}, "after 1 ids where min_tokens asks for 2"),
        ([7], "stop", 1, {"least": 2}, "after 1 ids where min_tokens asks for 2"),
        ([7], "stop", None, {"least": 2}, "after 1 ids where min_tokens asks for 2"),
        ([7, 52], "length", None, {}, "wrote 52 .* from 0 to 51"),
        ([-1], "length", None, {}, "wrote -1"),
        ([True], "length", None, {}, "wrote True"),
        ([7.0], "length", None, {}, "wrote 7.0"),
        ([float("nan")], "length", None, {}, "wrote nan"),
        ([None], "length", None, {"rows": None}, "wrote None .* from 0$"),
        (["7"], "length", None, {}, "wrote '7'"),
        ((7,), "length", None, {}, r"are no list but \(7,\)"),
        ([7], None, None, {}, "the reason None"),
        ([7], "eos", None, {}, "the reason 'eos'"),
        ([7], ["stop"], None, {}, "the reason a list"),
    ],
)
def test_what_can_not_be_used_is_refused_by_what_the_server_did(ids, finish, named, options, words):
    with pytest.raises(ReplyError, match=words):
        read(ids, finish, named, **options)


@pytest.mark.parametrize("sent", [[1, 7, 8], [8], [7, 9], [8, 7], []])
def test_a_reply_to_other_ids_is_recognised(sent):
    with pytest.raises(MixedUpError, match=f"continued {len(sent)} other ids than the 2"):
        check_prompt({"prompt_token_ids": sent}, [7, 8])


@pytest.mark.parametrize("said", [{}, {"prompt_token_ids": None}, {"prompt_token_ids": [7, 8]}])
def test_a_server_need_not_say_what_it_continued(said):
    check_prompt(said, [7, 8])
