"""Reads from the client, turn by turn, in callbacks of the loop: bytes to items, and no more of them than allowed.

A turn reads 16 KiB at most; then everybody else has theirs, whatever the client sends.
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
    """What comes from one client.

    Args:
        wire: Read from.
        parser: Of this client.
        frames_per_second: Over time; 0 for no bound.
        on_items: Called with what a turn has brought, and monotonic seconds. Must not switch, as the next one.
        on_end: Called when nothing will come any more.

    Attributes:
        is_deaf: What comes is thrown away.
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
        self._is_called = False  # by the loop, soon
        self.is_deaf = False
        self._watcher: Any = get_hub().loop.io(wire.fileno(), _READ)

    def start(self) -> None:
        """Read what comes, and what has come."""
        self._is_on = True
        self._watcher.start(self._turn)
        self._go_on()

    def stop(self) -> None:
        """Read nothing: the client's own writes will have to wait."""
        self._is_on = False
        self._watcher.stop()

    def close(self) -> None:
        """For ever."""
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
        """The parser has had enough for a turn, and not all."""
        return self._parser.has_more and not self.is_deaf

    def _go_on(self) -> None:
        """With what was read from the socket already, and waits in TLS or in the parser: the watcher will not tell of it."""
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
