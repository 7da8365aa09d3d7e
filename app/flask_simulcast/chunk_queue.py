"""ChunkQueue: the chunks that wait for the greenlet of one listener, bounded in bytes."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty

from gevent.queue import SimpleQueue

from .event import Position

# A chunk, the position of the listener once it has it, and the number of events in it. A wake-up has no position.
Queued = tuple[bytes, Position | None, int]
_WAKE: Queued = (b"", None, 0)


class ChunkQueue:
    """A queue with one reader. Only `take` and `rest` switch.

    Args:
        max_bytes: Bound of what waits. Two chunks fit, whatever their size.
    """

    __slots__ = ("_bytes", "_max_bytes", "_queue")

    def __init__(self, max_bytes: int) -> None:
        self._queue: SimpleQueue[Queued] = SimpleQueue()
        self._max_bytes = max_bytes
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, not even a wake-up."""
        return not self._queue.qsize()

    def put(self, chunk: bytes, position: Position, events: int) -> bool:
        """Add a chunk. Return False if there is no room for it."""
        if self._queue.qsize() > 1 and self._bytes + len(chunk) > self._max_bytes:
            return False
        self._bytes += len(chunk)
        self._queue.put((chunk, position, events))
        return True

    def take(self, limit: int) -> Queued:
        """Wait for chunks, and take them as one of up to ``limit`` bytes. Switches.

        Returns:
            The chunk; one without a position if the reader was woken for another reason.
        """
        chunk, position, events = first = self._queue.get()
        if position is None:
            return first
        chunks = [chunk]
        size = len(chunk)
        while self._queue.qsize():
            following, reached, more = self._queue.peek_nowait()
            if reached is None or size + len(following) > limit:
                break
            self._queue.get_nowait()
            chunks.append(following)
            size += len(following)
            events += more
            position = reached
        self._bytes -= size
        return (b"".join(chunks), position, events) if len(chunks) > 1 else first

    def rest(self, seconds: float) -> None:
        """Wait for ``seconds``, or until a chunk or a wake-up comes, which is dropped. Switches."""
        with suppress(Empty):
            self._queue.get(timeout=seconds)

    def wake(self) -> None:
        """Wake the reader, if nothing else does."""
        if self.is_empty:
            self._queue.put(_WAKE)

    def clear(self) -> None:
        """Drop all that waits."""
        while self._queue.qsize():
            self._queue.get_nowait()
        self._bytes = 0
