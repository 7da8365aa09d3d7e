"""Read from the client, turn by turn, in callbacks of the loop, and enforce the rate limit of frames.

A turn reads 16 KiB at most; then other callbacks run, whatever the client sends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gevent import get_hub

from .close_codes import TOO_FAST
from .limits import Bucket
from .parser import Item, Parser, Violation
from .wire import Wire

_READ = 1


class Reader:
    """Reads the bytes of one client.

    Args:
        wire: The wire to read from.
        parser: The parser of this client.
        frames_per_second: Rate limit of frames; 0 for no limit.
        on_items: Called with the items of a turn, and monotonic seconds. Must not switch.
        on_end: Called when the client's bytes have ended. Must not switch.

    Attributes:
        is_deaf: True to drop all bytes that come.
    """

    __slots__ = (
        "_frames", "_frames_per_second", "_is_called", "_is_on", "_on_end", "_on_items", "_parser", "_watcher", "_wire",
        "is_deaf",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        parser: Parser,
        frames_per_second: float,
        *,
        on_items: Callable[[list[Item], float], object],
        on_end: Callable[[], object],
    ) -> None:
        self._wire = wire
        self._parser = parser
        self._frames_per_second = frames_per_second
        self._frames = Bucket(frames_per_second, time.monotonic())
        self._on_items = on_items
        self._on_end = on_end
        self._is_on = False
        self._is_called = False  # a callback of the loop is scheduled
        self.is_deaf = False
        self._watcher: Any = get_hub().loop.io(wire.fileno(), _READ)

    def start(self) -> None:
        """Read the bytes that come, and those that have come already."""
        self._is_on = True
        self._watcher.start(self._turn)
        self._go_on()

    def stop(self) -> None:
        """Stop reading. The client's own writes will have to wait."""
        self._is_on = False
        self._watcher.stop()

    def close(self) -> None:
        """Stop reading for ever."""
        self.stop()
        self._watcher.close()

    def _turn(self) -> None:
        if not self._is_on:
            return
        goes_on = self._has_parsable
        data = b"" if goes_on else self._wire.receive()
        if data is None:
            return
        if not data and not goes_on:
            self._on_end()
            return
        if not self.is_deaf:
            now = time.monotonic()
            self._on_items(self._items(data, now), now)
        self._go_on()

    @property
    def _has_parsable(self) -> bool:
        """True if the parser has input left from its last turn."""
        return self._parser.has_more and not self.is_deaf

    def _go_on(self) -> None:
        """Schedule a turn for bytes that wait in TLS or in the parser. The watcher can't see them."""
        if self._is_on and not self._is_called and (self._has_parsable or self._wire.has_more):
            self._is_called = True
            get_hub().loop.run_callback(self._called)

    def _called(self) -> None:
        self._is_called = False
        self._turn()

    def _items(self, data: bytes, now: float) -> list[Item]:
        before = self._parser.frames
        items = self._parser.feed(data)
        if not self._frames.take(self._parser.frames - before, now):
            items.append(Violation(TOO_FAST.saying(f"More than {self._frames_per_second:g} frames a second.")))
        return items
