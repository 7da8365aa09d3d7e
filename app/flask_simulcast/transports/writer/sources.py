"""Iterate over a stream's items: from an iterable, a function, or a queue with a second queue for errors."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import gevent
import gevent.queue
from gevent import get_hub, getcurrent

from ...loop import is_patched
from .client import Client

# Interval between looks at the errors and the client in an unpatched process: a thread can't wait for two things at once.
_LOOK_SECONDS = 0.05
_NOTHING = object()
# The standard library's queues can be shut down from Python 3.13 on, gevent's from 25.4 on.
_SHUT_DOWN = tuple({module.ShutDown for module in (queue, gevent.queue) if hasattr(module, "ShutDown")})


class ItemQueue(Protocol):
    """The methods that gevent's queues and those of the standard library share."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Wait for an item and take it."""
        ...

    def get_nowait(self) -> Any:
        """Take an item, or raise `queue.Empty`."""
        ...

    def empty(self) -> bool:
        """Tell whether the queue has no item now."""
        ...


def items_of(producer: Iterable[object] | Callable[[], object]) -> Iterator[object]:
    """Iterate over an iterable's items, or over a function's results until it raises `StopIteration`."""
    return iter(producer) if isinstance(producer, Iterable) else _results_of(producer)


def _results_of(producer: Callable[[], object]) -> Iterator[object]:
    while True:
        try:
            item = producer()
        except StopIteration:
            return
        yield item


class _Knock(BaseException):
    """Thrown into the waiting view when an error has arrived in the other queue."""


class Sources:
    """Iterates over items in their order. Items that are in the queue before an error come before the error.

    The iteration ends at the item `StopIteration` (the class, as gevent's queues end), or when the queue is shut down.

    Args:
        items: The queue of items. This object must be its only reader.
        errors: The queue of errors. The first error ends the iteration; None is not an error.
        client: Asked from time to time, while this waits in a process without a loop, whether it is still there.

    Attributes:
        error: The error that ended the iteration.
    """

    def __init__(self, items: ItemQueue, errors: ItemQueue | None, client: Client) -> None:
        self._items = items
        self._errors = errors
        self._is_waiting = False
        self._greenlet: Any = getcurrent()
        self._doorkeeper = gevent.spawn(self._wait_for_error) if errors is not None and is_patched() else None
        self._timeout = None if is_patched() else _LOOK_SECONDS
        self._client = client
        self.error: object = None

    def __iter__(self) -> Iterator[object]:
        while True:
            if self._has_error() and self._items.empty():
                return
            try:
                item = self._next()
            except _SHUT_DOWN:
                item = StopIteration
            if item is StopIteration:
                self._has_error()
                return
            if item is not _NOTHING:
                yield item

    def close(self) -> None:
        """Stop waiting for errors. May switch."""
        if self._doorkeeper is not None:
            self._doorkeeper.kill()

    def _next(self) -> object:
        """Return an item, or `_NOTHING` if an error came first. Switches."""
        self._is_waiting = True
        try:
            return self._items.get(timeout=self._timeout)
        except _Knock:
            return _NOTHING
        except queue.Empty:
            self._client.check()
            return _NOTHING
        finally:
            self._is_waiting = False

    def _has_error(self) -> bool:
        while self.error is None and self._errors is not None:
            try:
                self.error = self._errors.get_nowait()
            except (queue.Empty, *_SHUT_DOWN):
                break
        return self.error is not None

    def _wait_for_error(self) -> None:
        assert self._errors is not None
        try:
            while self.error is None:
                self.error = self._errors.get()
        except _SHUT_DOWN:
            return
        get_hub().loop.run_callback(self._knock)

    def _knock(self) -> None:
        """Wake the waiting view. Called from the loop. No item is lost: it stays in its queue until a ``get`` returns it."""
        if self._is_waiting:
            self._greenlet.throw(_Knock())
