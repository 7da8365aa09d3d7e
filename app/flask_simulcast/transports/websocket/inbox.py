"""What a client sent and the handler has not taken yet, bounded in bytes; and the end, in its place behind it."""

from __future__ import annotations

from gevent.queue import Empty, SimpleQueue

# What a queued message takes beside its text: a thousand empty ones are not nothing.
_OVERHEAD_BYTES = 128
_END = ""


class Ended(Exception):
    """Everything was taken, and nothing will come."""


class Inbox:
    """Messages in the order in which they came, each for one taker.

    Args:
        queue_bytes: When so much waits, nothing more should be read.
    """

    __slots__ = ("_bytes", "_has_ended", "_queue", "_queue_bytes")

    def __init__(self, queue_bytes: int) -> None:
        self._queue: SimpleQueue[tuple[str | bytes, int]] = SimpleQueue()
        self._queue_bytes = queue_bytes
        self._bytes = 0
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        """The client has to wait."""
        return self._bytes >= self._queue_bytes

    @property
    def has_room(self) -> bool:
        """It need not wait any more: half of the bound is free, so that it is not stopped and let go for each message."""
        return self._bytes <= self._queue_bytes // 2

    def put(self, message: str | bytes) -> None:
        """Does not switch."""
        weight = len(message) + _OVERHEAD_BYTES
        self._bytes += weight
        self._queue.put((message, weight))

    def end(self) -> None:
        """What is there can still be taken. May be called twice. Does not switch."""
        if not self._has_ended:
            self._has_ended = True
            self._queue.put((_END, 0))

    def take(self, timeout: float | None) -> str | bytes | None:
        """The next message; None if none came in so many seconds. Switches, unless there is one.

        Raises:
            Ended: There will be none.
        """
        try:
            message, weight = self._queue.get(timeout != 0, timeout)
        except Empty:
            return None
        if not weight:
            self._queue.put((_END, 0))  # for whoever else waits
            raise Ended
        self._bytes -= weight
        return message
