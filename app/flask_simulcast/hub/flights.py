"""Flights: reads that are under way. Whoever asks for what is being read already waits for that answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from gevent.event import Event as Flag

from ..errors import BrokerError, ListenError

T = TypeVar("T")


class Flights:
    """Of one worker. A herd that asks the same at once costs one read.

    Args:
        is_needed: Whether reads switch; else none is ever found under way.
        on_shared: Called for each read that was saved.
    """

    def __init__(self, *, is_needed: bool, on_shared: Callable[[], object]) -> None:
        self._is_needed = is_needed
        self._on_shared = on_shared
        self._flights: dict[Hashable, _Flight] = {}

    def fetch(self, key: Hashable, read: Callable[[], T]) -> T:
        """What ``read`` returns, or the one that is under way under this key. Switches if that does.

        One that fails fails all who wait for it, and is not kept. One whose greenlet is killed, or that has a bug, is begun
        anew by somebody who waits.

        Raises:
            BrokerError, ListenError: As ``read``.
        """
        if not self._is_needed:
            return read()
        while True:
            flight = self._flights.get(key)
            if flight is None:
                return self._fly(key, read)
            flight.landed.wait()
            if flight.error is not None:
                raise type(flight.error)(
                    *flight.error.args
                ) from flight.error  # one for all would grow a traceback for each
            if flight.has_answer:
                self._on_shared()
                answer: T = flight.answer
                return answer

    def forget(self) -> None:
        """What is under way may be of another log: whoever asks from now on has it read anew."""
        self._flights.clear()

    def _fly(self, key: Hashable, read: Callable[[], T]) -> T:
        flight = self._flights[key] = _Flight()
        try:
            answer = flight.answer = read()
            flight.has_answer = True
            return answer
        except (BrokerError, ListenError) as error:
            flight.error = error
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()


class _Flight:
    """One read."""

    __slots__ = ("answer", "error", "has_answer", "landed")

    def __init__(self) -> None:
        self.landed = Flag()
        self.has_answer = False
        self.answer: Any = None
        self.error: BrokerError | ListenError | None = None
