"""The playground: any question under any budget, and its tokens as they come."""

from __future__ import annotations

import threading
import time
from html import escape
from typing import Any

import ipywidgets as ipw

from s1lab.engine import Engine
from s1lab.engines.description import check_engine
from s1lab.engines.model_names import EMBEDDED
from s1lab.figures.trace_view import legend_html, trace_box
from s1lab.tiny import EXAMPLES, scope_note
from s1lab.trace import Trace
from s1lab.widgets.dial import dial, lengths
from s1lab.widgets.panel import NARROW, Panel, button, html, row, sentence
from s1lab.widgets.rows import short
from s1lab.widgets.settings import Settings, in_controls
from s1lab.widgets.streaming import EVERY, stream
from s1lab.widgets.window import Window, see

HEIGHT = "26em"
# Seconds between two pictures of a growing trace. If three times the duration of the last picture
# is more, that is used.
PAUSE = 0.1


FIRST_CAP = 64  # what the field shows when "No cap" is unticked
BUTTONS = {
    "letters": "letters", "modular": "smallest x", "pair": "pair with a sum", "signs": "+ and -",
    "order": "tallest", "gcd": "common divisor",
}  # fmt: skip


class Playground(Panel):
    """The widget that `playground` makes.

    ``trace`` is the last trace, whole or as far as it was written. It is None before the first.
    ``asked`` is what it answers: the controls may say something else by now.
    """

    def __init__(self, engine: Engine, question: str = "", every: int = EVERY) -> None:
        self.engine, self.every = engine, every
        self.trace: Trace | None = None
        self.asked: Settings | None = None
        self._outcome = ""  # how the trace ended, as HTML
        self._model = str(getattr(engine, "model", ""))
        self._thread: threading.Thread | None = None
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._writing = self._again = self._newest = False
        known = self._model in EMBEDDED
        # A field of one line, where Enter runs, unless the question has more lines.
        self.question = (ipw.Textarea if "\n" in question else ipw.Text)(
            question,
            description="Question",
            placeholder=EXAMPLES["letters"] if known else "What do you want to ask?",
            style=NARROW,
            layout=ipw.Layout(width="auto"),
        )
        self.examples = [self._example(family) for family in (EXAMPLES if known else ())]
        self.uncapped = ipw.Checkbox(
            True, description="No cap", indent=False, layout=ipw.Layout(width="auto"),
            tooltip="think as long as the model wants and the context allows",
        )  # fmt: skip
        self.cap = _number("Cap", "most thinking tokens; untick No cap to set it", FIRST_CAP)
        self.cap.disabled = True
        self.least = _number(
            "Minimum", "fewest thinking tokens: a model that stops earlier is made to go on"
        )
        self.waits = _number("Waits", "how many tries to stop are suppressed")
        self.text = ipw.Text(
            "Wait", description="Wait word",
            tooltip="appended in place of a stop; empty suppresses it without text", style=NARROW,
            layout=ipw.Layout(width="190px"),
        )  # fmt: skip
        self.temperature = ipw.FloatText(
            0.0, step=0.1, description="Temperature", tooltip="0 is greedy", style=NARROW,
            layout=ipw.Layout(width="160px"),
        )  # fmt: skip
        self.seed = _number("Seed", "of sampling; at temperature 0 it changes nothing")
        self.run = button("Run", "ask the question; a run that goes on is stopped", self.start)
        self.run.add_class("s1lab-run")
        self.halt = button("Stop", "stop writing; what is there stays", self.stop)
        self.halt.disabled = True
        self.status = html(sentence("ask something, and press Run or Enter"))
        self.answered, self.view = html(), html()
        self.window = Window(self._draw)
        tokens = lengths(engine.context)
        settings = row(
            dial(self.cap, tokens[1:] or [1], self.uncapped), dial(self.least, tokens),
            dial(self.waits, range(9)), self.text,
            dial(self.temperature, [n / 10 for n in range(21)]), self.seed,
        )  # fmt: skip
        asking = [row(html("Examples:"), *self.examples)] if self.examples else []
        controls = ipw.VBox([self.question, *asking, settings])
        controls.add_class("s1lab-asks")
        running = row(self.run, self.halt, self.status)
        super().__init__([controls, running, self.answered, self.window.box, self.view])
        self.cap.observe(lambda _: setattr(self.uncapped, "value", False), "value")
        self.uncapped.observe(self._uncapped, "value")
        for field in (self.question, self.text):  # where the page's script may not run
            field.on_msg(self._submitted)
        for control in (
            self.question, self.cap, self.uncapped, self.least, self.waits, self.text,
            self.temperature, self.seed,
        ):  # fmt: skip
            control.observe(self._changed, "value")

    @property
    def settings(self) -> Settings:
        """What the controls ask now."""
        return Settings(
            question=self.question.value,
            cap=None if self.uncapped.value else self.cap.value,
            least=self.least.value,
            waits=self.waits.value,
            word=self.text.value,
            temperature=self.temperature.value,
            seed=self.seed.value,
        )

    def start(self) -> Playground:
        """Ask the question, as the button Run does.

        It runs on a thread of its own, so that the kernel stays free. A run that goes on is stopped
        first.
        """
        with self._lock:
            if self._writing:
                self._again = True
                self._stopped.set()
                return self
            self._begin()
        return self

    def _begin(self) -> None:
        asked = self.settings
        try:
            if asked.fault:
                raise ValueError(asked.fault)
            self._stopped.clear()
            growing = stream(
                self.engine, asked.question, asked.budget, temperature=asked.temperature,
                seed=asked.seed, every=self.every, stopped=self._stopped.is_set,
            )  # fmt: skip
        except ValueError as why:
            self.status.value = sentence(in_controls(str(why)), error=True)
            return
        # The old trace goes before the new question comes: no moment shows a false pair.
        self.trace, self._outcome, self.view.value = None, "", ""
        self.window.off()
        self.asked = asked
        self._mark()
        self._busy(True)
        self.status.value = sentence("reading the question")
        self._thread = threading.Thread(
            target=self._write, args=(growing,), name="s1lab playground", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop writing between two steps of the engine, as the button Stop does."""
        self._stopped.set()
        self.halt.disabled = True
        self.run.focus()  # a button that is disabled would lose the focus to nothing

    def wait(self, timeout: float | None = None) -> Trace | None:
        """Wait until nothing is being written.

        Args:
            timeout: The most seconds to wait. None waits without limit.

        Returns:
            The trace at that time.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (thread := self._thread) and thread.is_alive():
            left = None if until is None else max(0.0, until - time.monotonic())
            thread.join(left)
            if left == 0.0:
                break
        return self.trace

    def _busy(self, busy: bool) -> None:
        # Run stays enabled, so that the keyboard's focus stays on it.
        self._writing, self.halt.disabled = busy, not busy

    def _submitted(self, _: object, message: dict[str, Any], __: object) -> None:
        if message.get("event") == "submit":
            self.start()

    def _uncapped(self, change: dict[str, Any]) -> None:
        self.cap.disabled = change["new"]

    def _example(self, family: str) -> ipw.Button:
        def write() -> None:
            self.question.value = EXAMPLES[family]
            self.question.focus()  # Enter runs it

        return button(BUTTONS[family], EXAMPLES[family], write)

    def _changed(self, _: object) -> None:
        """Mark a trace that the controls no longer ask for. An error is about the past too."""
        self._mark()
        if not self._writing:
            fresh = self.settings == self.asked
            self.status.value = "" if fresh else sentence("Run or Enter asks this")

    def _mark(self) -> None:
        """Say what the trace answers. It is dimmed if the controls differ."""
        stale = self.asked is not None and self.settings != self.asked
        self.answered.value = self._heading(stale)
        for part in (self.view, self.window.box):
            (part.add_class if stale else part.remove_class)("s1lab-dim")

    def _heading(self, stale: bool = False) -> str:
        if self.asked is None:
            return ""
        changed = "the controls have changed since; this is the " if stale else ""
        where = "each button beside Examples asks one of these"
        note = scope_note(self._model, self.asked.question, where)
        return (
            f"<div>{changed}answer to: <b>{escape(self.asked.question)}</b>, "
            f"{escape(self.asked.words())}</div>"
            + (sentence(f"Note: {note}") if note else "")
            + self._outcome
        )

    def _write(self, growing: Any) -> None:
        due = 0.0
        try:
            for self.trace in growing:
                began = time.monotonic()
                if began >= due:
                    self._show(self.trace)
                    took = time.monotonic() - began
                    due = time.monotonic() + max(PAUSE, 3 * took)
            assert self.trace is not None
            self._show(self.trace, ended=True)
        except Exception as why:  # nothing above a thread would report the error
            # our own errors are sentences
            kind = "" if isinstance(why, ValueError | RuntimeError) else f"{type(why).__name__}: "
            self._ended(kind + short(str(why), 600), error=True)
        finally:
            with self._lock:
                self._busy(False)
                again, self._again = self._again, False
                if again:
                    self._begin()

    def _ended(self, text: str, error: bool = False) -> None:
        """Say how a run ended, beside its trace; an error beside the button too."""
        self._outcome = sentence(in_controls(text) if error else text, error)
        self.status.value = self._outcome if error else ""
        self._mark()

    def _show(self, trace: Trace, ended: bool = False) -> None:
        self._draw(max(0, len(trace.ids) - 1), newest=True)
        if not ended:
            self.window.off()  # the view follows the writing
            self.status.value = sentence(f"writing: {trace.thinking_tokens:,} thinking tokens")
        elif trace.error and self._stopped.is_set():
            self._ended(f"stopped: {trace.thinking_tokens:,} thinking tokens were written")
        elif trace.error:
            self._ended(trace.error, error=True)
        else:
            self._ended(f"done: {trace.summary()}. {short(trace.answer, 200)}.")

    def _draw(self, at: int, newest: bool = False) -> None:
        """Draw the trace around a position; with ``newest``, its last window, scrolled down."""
        trace, stay = self.trace, self.window.staying()
        assert trace is not None
        self._newest = self._newest if stay else newest
        sight = see(trace, trace.template.decode, at, top=not newest, stay=stay)
        self.window.look(at)
        self.window.show({"trace": sight})
        box = trace_box(sight.tokens, "tokens of the trace", HEIGHT, newest=self._newest)
        self.view.value = legend_html(trace.source) + sight.where + box

    def static_html(self) -> str:
        if self.asked is None:
            question = escape(self.question.value) or "no question yet"
            return f"<div>not asked yet: <b>{question}</b>, {escape(self.settings.words())}</div>"
        return f"{self._heading()}{self.view.value}"


def playground(engine: Engine, question: str = "", *, every: int = EVERY) -> Playground:
    """Ask a question under a budget and watch its tokens as they come, on any engine.

    The trace is the one of `s1lab.force` with the same settings; see
    `s1lab.widgets.streaming`. The kernel stays free, and other calls may use the engine meanwhile.

    Args:
        engine: The engine.
        question: The first text in the box.
        every: Tokens of a piece. A server gets one request for each piece.

    Returns:
        The widget. ``playground(engine, "...").start()`` asks at once, and its ``wait()`` returns
        the trace.

    Raises:
        ValueError: If ``engine`` is not an engine.

    Example:
        lab.widgets.playground(lab.load("s1-tiny"), "How many r in raspberry?")
    """
    check_engine(engine)
    return Playground(engine, question, every)


def _number(name: str, tip: str, first: int = 0) -> ipw.IntText:
    return ipw.IntText(
        first, description=name, tooltip=tip, style=NARROW, layout=ipw.Layout(width="140px")
    )
