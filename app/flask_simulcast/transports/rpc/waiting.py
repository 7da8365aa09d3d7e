"""Waiting: a greenlet that waits for the next message of a call, which the end of the worker ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from gevent import GreenletExit, get_hub, getcurrent

from ...close_reason import CloseReason
from ...encoding.rpc.codes import ending_of
from ...loop import is_patched
from ..open_calls import OpenCalls

M = TypeVar("M")


class _Over(GreenletExit):
    """The worker stops."""


class _Waiting:
    """One greenlet. Between its waits it is left alone."""

    __slots__ = ("_has_grace", "_is_over", "_waits")

    def __init__(self, *, has_grace: bool) -> None:
        self._has_grace = has_grace
        self._is_over = False
        self._waits: Any = None  # a greenlet, while it does

    def close(self, reason: CloseReason) -> None:
        if not self._has_grace:
            self.cut()

    def cut(self) -> None:
        self._is_over = True
        get_hub().loop.run_callback(self._wake)

    def _wake(self) -> None:
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.throw(_Over)

    def next(self, messages: Iterator[M]) -> M | None:
        if self._is_over:
            raise ending_of(CloseReason.DRAINING.value)
        self._waits = getcurrent()
        try:
            return next(messages, None)
        except _Over:
            raise ending_of(CloseReason.DRAINING.value) from None
        finally:
            self._waits = None


def until_drained(messages: Iterator[M], calls: OpenCalls, *, has_grace: bool) -> Iterator[M]:
    """Yield messages until the worker stops, where gevent has patched. What its caller does with one is never broken off.

    Args:
        calls: The open calls of the app.
        has_grace: Whether the messages may go on for the time of the drain.

    Raises:
        CallError: UNAVAILABLE: the worker stops.
    """
    if not is_patched():
        yield from messages
        return
    waiting = _Waiting(has_grace=has_grace)
    calls.add(waiting)
    try:
        while (message := waiting.next(messages)) is not None:
            yield message
    finally:
        calls.remove(waiting)
