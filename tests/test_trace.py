"""What a trace shows: nothing lost, nothing executed, words beside the colours."""

from __future__ import annotations

import re

import s1lab as lab
from s1lab.trace import FORCED, Source, Trace


def built(template, thinking: str) -> Trace:
    trace = Trace("How many r?", template, lab.Budget(max_tokens=50))
    trace.extend(template.prompt("How many r?") + template.open_ids(), Source.PROMPT)
    trace.extend(template.encode(thinking), Source.SAMPLED)
    trace.extend(template.encode("Wait"), Source.CONTINUATION)
    trace.waits, trace.cut = 1, True
    trace.extend(template.close_ids(trace.ids), Source.CLOSE)
    trace.extend(template.encode("Final Answer:"), Source.PREFIX)
    trace.extend(template.encode(" 3"), Source.ANSWER)
    return trace


def test_the_segments_are_the_text(template):
    trace = built(template, "1 r 1\nstop\n")
    assert "".join(text for _, text in trace.segments()) == trace.text
    assert trace.thinking == "1 r 1\nstop\nWait" and trace.answer == "Final Answer: 3"
    assert (
        trace.forced_tokens
        == len(trace.of(*FORCED))
        == sum(len(template.encode(t)) for s, t in trace.segments() if s in FORCED)
    )


def test_a_terminal_shows_what_was_forced_in_guillemets_and_the_counts(template):
    shown = str(built(template, "1 r 1\n"))
    assert "«Wait»" in shown and "«Final Answer:» 3" in shown
    assert (
        f"{len(template.encode('1 r 1')) + 2} thinking tokens" in shown and "1 wait, cut" in shown
    )
    assert "\x1b[" not in shown and "\x1b[1;33m«Wait»" in built(template, "1").show(color=True)


def test_html_escapes_model_text_and_names_each_source_in_words(template):
    html = built(template, "<script>alert('x')</script>")._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html
    for source in Source:
        if source is not Source.ANSWER:
            assert f'title="{source.value}:' in html
    assert re.sub(r"<[^>]+>", "", html).count("Wait") == 1


def test_an_error_is_shown(template):
    trace = built(template, "1")
    trace.error = "the server <died>"
    assert (
        "the server <died>" in str(trace)
        and "&lt;died&gt;" in trace._repr_html_()
        and "error" in trace.summary()
    )
