"""SingleFlight: reads that are under way. Whoever asks for what is being read already waits for that answer; whoever asks for
something else waits for a turn, so that a herd does not stand in the way of the pump.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore

from ..brokers.base import Broker
from ..errors import BrokerError, BrokerUnavailableError, ListenError
from ..loop import is_patched
from ..metrics import Metrics
from .pump import Pump

# Half of what a broker takes on at once: the rest is for the pump, the register, and requests.
_AT_ONCE = 8

T = TypeVar("T")


class SingleFlight:
    """Of one worker. A herd that asks the same at once costs one read, and eight are under way at most.

    Args:
        broker: Whether its reads switch; else none is ever found under way.
        pump: Whether it is known that the log can't be read: a caller that has waited for a turn need not find out, too.
        metrics: Counts each read that was saved.
    """

    def __init__(self, broker: Broker, pump: Pump, metrics: Metrics) -> None:
        self._is_needed = not broker.reads_at_once and is_patched()
        self._pump = pump
        self._metrics = metrics
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._under_way: dict[Hashable, _Flight] = {}

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
            flight = self._under_way.get(key)
            if flight is None:
                return self._fly(key, read)
            flight.landed.wait()
            if flight.error is not None:
                raise type(flight.error)(
                    *flight.error.args
                ) from flight.error  # one for all would grow a traceback for each
            if flight.has_answer:
                self._metrics.count("catchup_reads_shared_total")
                answer: T = flight.answer
                return answer

    def alone(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, which is of no use to anybody else. Switches if that does.

        Raises:
            BrokerError: As ``read``.
        """
        if not self._is_needed:
            return read()
        with self._turns:
            if self._pump.is_lost:
                raise BrokerUnavailableError("The log can't be read now. Try again in a second.")
            return read()

    def forget(self) -> None:
        """What is under way may be of another log: whoever asks from now on has it read anew."""
        self._under_way.clear()

    def _fly(self, key: Hashable, read: Callable[[], T]) -> T:
        flight = self._under_way[key] = _Flight()
        try:
            answer = flight.answer = self.alone(read)
            flight.has_answer = True
            return answer
        except (BrokerError, ListenError) as error:
            flight.error = error
            raise
        finally:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
            flight.landed.set()


class _Flight:
    """One read."""

    __slots__ = ("answer", "error", "has_answer", "landed")

    def __init__(self) -> None:
        self.landed = Flag()
        self.has_answer = False
        self.answer: Any = None
        self.error: BrokerError | ListenError | None = None
