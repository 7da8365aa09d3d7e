"""SingleFlight: reads in progress. A caller that asks for a read already in progress shares its result. A caller that asks for
another read waits for a free slot, so that a herd does not delay the pump.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore

from ..brokers.base import Broker
from ..errors import BrokerError, BrokerUnavailableError, ListenError
from ..loop import has_loop
from ..metrics import Metrics
from .pump import Pump

# Half of the calls that a broker handles at once. The other half is for the pump, the register, and requests.
_AT_ONCE = 8
#: Number of answers that are kept for callers that ask a little later, and how long. A herd that reconnects after a restart
#: asks for the same pages: 0.2 µs an event instead of 2.5.
SHARED = 64
SHARED_SECONDS = 1.0

T = TypeVar("T")


class SingleFlight:
    """The shared reads of one worker. A herd that asks the same at once costs one read; at most eight run at the same time.

    Args:
        broker: If its reads do not switch, no read is ever found in progress, and nothing is shared. Says, too, when the log
            was opened again.
        pump: If it knows that the log can't be read, a caller that has waited for a slot fails at once.
        metrics: Counts each read that was saved.
    """

    def __init__(self, broker: Broker, pump: Pump, metrics: Metrics) -> None:
        self._broker = broker
        self._forgotten = 0
        self._is_needed = not broker.reads_at_once and has_loop()
        self._pump = pump
        self._metrics = metrics
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._under_way: dict[Hashable, _Flight] = {}

    @property
    def stamp(self) -> tuple[int, int]:
        """Identifies the log as it is known now. An answer to a question under another stamp may be of another log."""
        return self._forgotten, self._broker.generation

    def fetch(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return the result of ``read``, or of the read in progress under this key. Switches if ``read`` does.

        A read that fails makes all its waiting callers fail, and is not kept. If its greenlet is killed, or if it raises
        another error, one of the waiting callers starts it again.

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
                ) from flight.error  # a shared error object would grow with each caller's traceback
            if flight.has_answer:
                self._metrics.count("catchup_reads_shared_total")
                answer: T = flight.answer
                return answer

    def alone(self, read: Callable[[], T]) -> T:
        """Return the result of ``read``, which no other caller can share. Switches if ``read`` does.

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
        """Forget the reads in progress, which may be of another log. Callers that ask from now on start a new read."""
        self._forgotten += 1
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
    """One read in progress."""

    __slots__ = ("answer", "error", "has_answer", "landed")

    def __init__(self) -> None:
        self.landed = Flag()
        self.has_answer = False
        self.answer: Any = None
        self.error: BrokerError | ListenError | None = None
