"""The queue of a client's messages for the handler, bounded in bytes. The end of the connection comes last in it."""

from __future__ import annotations

from gevent.queue import Empty, SimpleQueue

# Memory of a queued message besides its text, so that a thousand empty messages count too.
_OVERHEAD_BYTES = 128
_END = ""


class Ended(Exception):
    """All messages were taken, and the connection has ended."""


class Inbox:
    """Messages in the order in which they came. Each goes to one caller of `take`.

    Args:
        queue_bytes: Size at which reading from the client should stop.
    """

    __slots__ = ("_bytes", "_has_ended", "_queue", "_queue_bytes")

    def __init__(self, queue_bytes: int) -> None:
        self._queue: SimpleQueue[tuple[str | bytes, int]] = SimpleQueue()
        self._queue_bytes = queue_bytes
        self._bytes = 0
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        """True if reading from the client should stop."""
        return self._bytes >= self._queue_bytes

    @property
    def has_room(self) -> bool:
        """True if reading can go on: half of the queue is free, so that reading does not stop and start for each message."""
        return self._bytes <= self._queue_bytes // 2

    def put(self, message: str | bytes) -> None:
        """Add a message. Does not switch."""
        weight = len(message) + _OVERHEAD_BYTES
        self._bytes += weight
        self._queue.put((message, weight))

    def end(self) -> None:
        """Mark the end. Messages before it can still be taken. A second call does nothing. Does not switch."""
        if not self._has_ended:
            self._has_ended = True
            self._queue.put((_END, 0))

    def take(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; None if none came within ``timeout`` seconds. Switches, unless a message waits.

        Raises:
            Ended: All messages were taken, and the connection has ended.
        """
        try:
            message, weight = self._queue.get(timeout != 0, timeout)
        except Empty:
            return None
        if not weight:
            self._queue.put((_END, 0))  # for other callers that wait
            raise Ended
        self._bytes -= weight
        return message
