"""Try whether a client of your own resumes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from .breaking_stream import COUNT, PLAN, BreakingStream

Client = Callable[[str, Callable[[object], None]], object]
"""Listens to a URL until the stream is over, and calls a function with the data of each event of the type ``message``."""

_ADVICE = "Dispatch an event at its empty line, keep its id, and reconnect with it. The connections:"
_END = 'End it at `closed` with `"reconnect": false`, or at the status 204.'


def check_resume(client: Client, *, seconds: float = 30.0) -> None:
    """Check that a client misses no event and gets none twice, through connections that break::

        def our_client(url, take):
            for event in OurClient(url):
                take(event.data)

        check_resume(our_client)

    The client gets 20 events with the data ``{"n": 1}`` to ``{"n": 20}``. Four connections break: within an event, right after
    ``connected``, between two events, and by ``closed``. Then a ``closed`` with ``"reconnect": false`` ends the stream for good;
    a client that comes back nevertheless is answered 204.

    Args:
        client: Called in a thread with the URL of a server on 127.0.0.1, and a function to call with each event's data, as
            text or parsed. It returns when the stream is over.
        seconds: Longest run of the client.

    Raises:
        AssertionError: The client missed an event, took one twice, or does not end. The message tells of each connection.
    """
    trial = _Trial(client)
    with BreakingStream() as stream:
        trial.run(stream.url, seconds)
    trial.check_numbers(stream)
    if trial.error is not None:
        raise trial.error
    if not trial.has_ended:
        raise AssertionError(f"The client got every event, but had not ended after {seconds} s. {_END}")
    if len(stream.ids) > len(PLAN) + 1:
        raise AssertionError(f"The client came back {len(stream.ids) - len(PLAN)} times after the end. {_END}")


class _Trial:
    """One run of a client.

    Attributes:
        numbers: The number of each event that it took; None for data that no event had.
        has_ended: Whether it has ended by itself.
        error: What it raised.
    """

    def __init__(self, client: Client) -> None:
        self.numbers: list[int | None] = []
        self.has_ended = False
        self.error: BaseException | None = None
        self._client = client
        self._is_decided = threading.Event()

    def run(self, url: str, seconds: float) -> None:
        """Run the client until it ends, or takes an event that was not due."""
        threading.Thread(target=self._run, args=(url,), name="client", daemon=True).start()
        self._is_decided.wait(seconds)

    def check_numbers(self, stream: BreakingStream) -> None:
        """Check that the client took each event once, in order."""
        for due, number in enumerate(self.numbers, 1):
            if number != due:
                what = "data that no event has, or half of it," if number is None else f"event {number}"
                raise AssertionError(f"The client took {what} where event {due} was due. {_history(stream)}")
        if len(self.numbers) < COUNT:
            message = f"The client took {len(self.numbers)} of {COUNT} events. {_history(stream)}"
            raise AssertionError(message) from self.error

    def _run(self, url: str) -> None:
        try:
            self._client(url, self._take)
        except BaseException as error:
            self.error = error
        self.has_ended = True
        self._is_decided.set()

    def _take(self, data: object) -> None:
        self.numbers.append(_number(data))
        if self.numbers[-1] != len(self.numbers):
            self._is_decided.set()


def _history(stream: BreakingStream) -> str:
    """Tell of each connection with which id it came, where it began, and how it ended."""
    lines = [
        f"  {n}. {f'Last-Event-ID: {id}' if id else 'no Last-Event-ID'}, began at event {begin}, {plan.how}"
        for n, (id, begin, plan) in enumerate(zip(stream.ids, stream.begins, PLAN, strict=False), 1)
    ]
    return "\n".join([_ADVICE, *lines])


def _number(data: object) -> int | None:
    try:
        value: Any = json.loads(data) if isinstance(data, str | bytes) else data
        return int(value["n"])
    except (ValueError, TypeError, KeyError):
        return None
