"""The playground: any question under any budget, and its tokens as they come."""

from __future__ import annotations

import threading
import time
from html import escape
from typing import Any

import ipywidgets as ipw

from s1lab.budget import Budget
from s1lab.engine import Engine, check_engine
from s1lab.figures.trace_view import legend_html, trace_box
from s1lab.trace import Trace
from s1lab.widgets.dial import dial, lengths
from s1lab.widgets.panel import NARROW, Panel, button, html, row, sentence
from s1lab.widgets.rows import short
from s1lab.widgets.streaming import EVERY, stream
from s1lab.widgets.window import Window, see

HEIGHT = "26em"
# Seconds between two pictures of a growing trace. If three times the duration of the last picture
# is more, that is used.
PAUSE = 0.1


class Playground(Panel):
    """The widget that `playground` makes.

    ``trace`` is the last trace, whole or as far as it was written. It is None before the first.
    """

    def __init__(self, engine: Engine, question: str = "", every: int = EVERY) -> None:
        self.engine, self.every = engine, every
        self.trace: Trace | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self.question = ipw.Textarea(
            question,
            description="Question",
            placeholder="ask anything",
            rows=2,
            style=NARROW,
            layout=ipw.Layout(width="auto"),
        )
        self.cap = _number("Cap", "most thinking tokens; 0 for no cap")
        self.least = _number(
            "Minimum", "fewest thinking tokens: a model that stops earlier is made to go on"
        )
        self.waits = _number("Waits", "how many tries to stop are suppressed")
        self.text = ipw.Text(
            "Wait", description="Extension",
            tooltip="appended in place of a stop; empty suppresses it without text", style=NARROW,
            layout=ipw.Layout(width="190px"),
        )  # fmt: skip
        self.temperature = ipw.FloatText(
            0.0,
            step=0.1,
            description="Temperature",
            tooltip="0 is greedy",
            style=NARROW,
            layout=ipw.Layout(width="160px"),
        )
        self.seed = _number("Seed", "of sampling; at temperature 0 it changes nothing")
        self.run = button("Run", "ask the question", self.start)
        self.halt = button("Stop", "stop writing; what is there stays", self.stop)
        self.halt.disabled = True
        self.status, self.view = html(sentence("ask something, and press Run")), html()
        self.window = Window(self._draw)
        tokens = lengths(engine.context)
        settings = row(
            dial(self.cap, tokens), dial(self.least, tokens), dial(self.waits, range(9)), self.text,
            dial(self.temperature, [n / 10 for n in range(21)]), self.seed,
        )  # fmt: skip
        super().__init__(
            [
                self.question,
                settings,
                row(self.run, self.halt, self.status),
                self.window.box,
                self.view,
            ]
        )

    @property
    def budget(self) -> Budget:
        """The budget of the controls.

        Raises:
            ValueError: If no run can keep the budget.
        """
        return Budget(
            max_tokens=self.cap.value or None,
            min_tokens=self.least.value,
            waits=self.waits.value,
            wait=self.text.value,
        )

    def start(self) -> Playground:
        """Ask the question, as the button Run does.

        It runs on a thread of its own, so that the kernel stays free.
        """
        if self._thread and self._thread.is_alive():
            return self
        try:
            asked = {
                "temperature": self.temperature.value,
                "seed": self.seed.value,
                "every": self.every,
            }
            growing = stream(
                self.engine, self.question.value, self.budget, stopped=self._stopped.is_set, **asked
            )
        except ValueError as why:
            self.status.value = sentence(str(why), error=True)
            return self
        self._stopped.clear()
        self._busy(True)
        self.status.value = sentence("reading the question")
        self._thread = threading.Thread(
            target=self._write, args=(growing,), name="s1lab playground", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop writing between two steps of the engine, as the button Stop does."""
        self._stopped.set()
        self.halt.disabled = True

    def wait(self, timeout: float | None = None) -> Trace | None:
        """Wait until nothing is being written.

        Args:
            timeout: The most seconds to wait. None waits without limit.

        Returns:
            The trace at that time.
        """
        if self._thread:
            self._thread.join(timeout)
        return self.trace

    def _busy(self, busy: bool) -> None:
        self.run.disabled, self.halt.disabled = busy, not busy

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
            self.status.value = sentence(kind + short(str(why), 600), error=True)
        finally:
            self._busy(False)

    def _show(self, trace: Trace, ended: bool = False) -> None:
        self._draw(max(0, len(trace.ids) - 1), newest=True)
        if not ended:
            self.window.off()  # the view follows the writing
            self.status.value = sentence(f"writing: {trace.thinking_tokens:,} thinking tokens")
        elif trace.error and self._stopped.is_set():
            self.status.value = sentence(
                f"stopped: {trace.thinking_tokens:,} thinking tokens were written"
            )
        elif trace.error:
            self.status.value = sentence(trace.error, error=True)
        else:
            self.status.value = sentence(f"done: {trace.summary()}. {short(trace.answer, 200)}.")

    def _draw(self, at: int, newest: bool = False) -> None:
        """Draw the trace around a position; with ``newest``, its last window, scrolled down."""
        trace = self.trace
        assert trace is not None
        sight = see(trace, trace.template.decode, at, top=not newest)
        self.window.look(at)
        self.window.show({"trace": sight})
        box = trace_box(sight.tokens, "tokens of the trace", HEIGHT, newest=newest)
        self.view.value = legend_html(trace.source) + sight.where + box

    def static_html(self) -> str:
        asked = (
            f"<b>{escape(self.question.value)}</b>" if self.question.value else "no question yet"
        )
        budget = (
            f"cap {self.cap.value or 'none'}, minimum {self.least.value}, Waits {self.waits.value} "
            f"with {self.text.value!r}, temperature {self.temperature.value:g}, seed "
            f"{self.seed.value}"
        )
        return f"<div>{asked}</div><div>{escape(budget)}</div>{self.status.value}{self.view.value}"


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
        lab.widgets.playground(lab.load("s1-tiny"), "How many r in raspberry")
    """
    check_engine(engine)
    return Playground(engine, question, every)


def _number(name: str, tip: str) -> ipw.IntText:
    return ipw.IntText(
        0, description=name, tooltip=tip, style=NARROW, layout=ipw.Layout(width="140px")
    )
