"""The queue of a client's messages for the handler, bounded in bytes. The end of the connection comes last in it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gevent.queue import Empty, SimpleQueue

# Memory of a queued message besides its text, so that a thousand empty messages count too.
_OVERHEAD_BYTES = 128


class Ended(Exception):
    """All messages were taken, and the connection has ended."""


class Inbox(ABC):
    """Messages in the order in which they came.

    Args:
        queue_bytes: Size at which reading from the client should stop.
    """

    __slots__ = ("_bytes", "queue_bytes")

    def __init__(self, queue_bytes: int) -> None:
        self.queue_bytes = queue_bytes
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """True if reading from the client should stop."""
        return self._bytes >= self.queue_bytes

    @property
    def has_room(self) -> bool:
        """True if reading can go on: half of the queue is free, so that reading does not stop and start for each message."""
        return self._bytes <= self.queue_bytes // 2

    @abstractmethod
    def put(self, message: str | bytes) -> None:
        """Add a message. Does not switch."""

    @abstractmethod
    def end(self) -> None:
        """Mark the end. Messages before it can still be taken. A second call does nothing. Does not switch."""

    def closed(self) -> None:  # noqa: B027 - most have nothing to do
        """Note that the connection is closed, and that nothing more comes of it. Does not switch."""

    @abstractmethod
    def take(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; None if none came within ``timeout`` seconds. Switches, unless a message waits.

        Raises:
            Ended: All messages were taken, and the connection has ended.
        """

    def _came(self, message: str | bytes) -> None:
        self._bytes += len(message) + _OVERHEAD_BYTES

    def _went(self, message: str | bytes) -> None:
        self._bytes -= len(message) + _OVERHEAD_BYTES


class ReceivedInbox(Inbox):
    """The inbox of a handler that calls `receive`. Each message goes to one caller of `take`."""

    __slots__ = ("_has_ended", "_queue")

    def __init__(self, queue_bytes: int) -> None:
        super().__init__(queue_bytes)
        self._queue: SimpleQueue[str | bytes | None] = SimpleQueue()  # None is the end
        self._has_ended = False

    def put(self, message: str | bytes) -> None:
        self._came(message)
        self._queue.put(message)

    def end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._queue.put(None)

    def take(self, timeout: float | None) -> str | bytes | None:
        try:
            message = self._queue.get(timeout != 0, timeout)
        except Empty:
            return None
        if message is None:
            self._queue.put(None)  # for other callers that wait
            raise Ended
        self._went(message)
        return message
