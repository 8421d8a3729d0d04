"""Scripted models: an engine that answers from a function, and models that think as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

import s1lab as lab
from s1lab.engine import Completion, Progress, Request
from s1lab.tokenization.bound_template import BoundTemplate

THINK, ANSWER = "<|im_start|>think\n", "<|im_start|>answer\n"
FIELDS = ("ids", "source", "budget", "waits", "cut", "stops", "answer", "answer_cut", "error")


class Scripted:
    """An engine that answers from a function: a program is tested against it in milliseconds.

    say: what the model would write after these ids, as text; "<|im_start|>" or "<|im_end|>" in it
    stops where the request says.
    """

    name, model, context, width = "scripted", "scripted", 4096, 64
    fingerprint, semantics = "scripted", "scripted"

    def __init__(
        self, template: BoundTemplate, say: Callable[[str], str], context: int = 4096
    ) -> None:
        self.template, self.say, self.context = template, say, context
        self.requests: list[Request] = []
        self.cancelled = False
        self._done: list[tuple[int, Completion]] = []
        self._partial: set[int] = set()  # keys of requests that report what they have written

    def submit(self, key: int, request: Request) -> None:
        self.requests.append(request)
        if request.partial:
            self._partial.add(key)
        assert request.max_tokens >= 1
        assert len(request.ids) + request.max_tokens <= self.context
        written: list[int] = []
        for token in self.template.encode(self.say(self.template.decode(list(request.ids)))):
            if token in request.stop and len(written) >= request.min_tokens:
                self._done.append((key, Completion(tuple(written), token)))
                return
            if (
                token not in request.stop
            ):  # a stop that comes too early is masked: something else is written
                written.append(token)
            if len(written) == request.max_tokens:
                break
        else:
            raise AssertionError("the script ended without a stop")
        self._done.append((key, Completion(tuple(written))))

    def poll(self) -> list[tuple[int, Completion | Progress]]:
        # One at a time: nobody may lean on rounds ending together.
        if not self._done:
            return []
        key, done = self._done[0]
        if key in self._partial and done.ids:  # half of it first
            self._partial.discard(key)
            return [(key, Progress(done.ids[: (len(done.ids) + 1) // 2]))]
        return [self._done.pop(0)]

    def cancel(self, keys: Iterable[int] | None = None) -> dict[int, Completion]:
        self.cancelled = True
        gone = {key for key, _ in self._done if keys is None or key in set(keys)}
        dropped = {
            key: Completion(done.ids[: len(done.ids) // 2], cancelled=True)
            for key, done in self._done
            if key in gone
        }
        self._done = [pair for pair in self._done if pair[0] not in gone]
        return dropped

    def close(self) -> None:
        pass


def thinker(*rounds: str, answer: str = "Answer: 3<|im_end|>", end: str = "<|im_start|>"):
    """A model that thinks ``rounds`` (one after each suppressed stop, the last one again and
    again), then answers.
    """

    def say(text: str) -> str:
        if ANSWER in text:
            return " 3<|im_end|>" if text.endswith("Final Answer:") else answer
        thought = text.split(THINK)[1]
        for number in range(len(rounds)):
            sofar = "Wait".join(rounds[: number + 1])
            if sofar.startswith(thought):
                return sofar[len(thought) :] + end
        return rounds[-1] + end

    return say


def ctrl_c_at(n: int, model: Callable[[str], str]) -> Callable[[str], str]:
    """The model, while whose n-th answer is written Ctrl-C is pressed."""
    asked = count(1)

    def say(text: str) -> str:
        if next(asked) == n:
            raise KeyboardInterrupt
        return model(text)

    return say


def kinds(trace: lab.Trace) -> list[str]:
    return [source.value for source, _ in trace.segments()]


def same(a: lab.Trace, b: lab.Trace) -> bool:
    return all(getattr(a, name) == getattr(b, name) for name in FIELDS)
