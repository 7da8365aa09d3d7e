"""Read from the client, turn by turn, in callbacks of the loop, and enforce the rate limit of frames.

A turn reads 16 KiB at most; then other callbacks run, whatever the client sends.
"""

from __future__ import annotations

import select
import time
from typing import Any, Protocol

from gevent import get_hub

from ..client_watch import HAS_EPOLL, lookout
from .close_codes import TOO_FAST
from .limits import Bucket, Limits
from .parser import Item, Parser, Violation
from .wire import OwnWire, Wire

_READ = 1


class Reading(Protocol):
    """What a reader tells its connection. Must not switch."""

    def on_items(self, items: list[Item], now: float) -> None:
        """Handle the items of a turn.

        Args:
            now: Monotonic seconds.
        """

    def on_end(self) -> None:
        """Handle the end of the client's bytes."""


class Reader:
    """Reads the bytes of one client.

    Args:
        wire: The wire to read from.
        limits: Of the parser of this client, and the rate limit of frames.
        owner: The connection.
        text_only, is_compressed: As in `Parser`.

    Attributes:
        fd: Descriptor of the socket.
        mask: What the loop's lookout watches.
        wire: As above; another one, once the server has let go of its own.
        is_deaf: True to drop all bytes that come.
    """

    __slots__ = (
        "_frames", "_is_called", "_is_compressed", "_is_on", "_limits", "_owner", "_parser", "_text_only", "_watcher",
        "fd", "is_deaf", "wire",
    )  # fmt: skip

    mask = select.EPOLLIN if HAS_EPOLL else 0

    def __init__(
        self, wire: Wire | OwnWire, limits: Limits, owner: Reading, *, text_only: bool, is_compressed: bool
    ) -> None:
        self.wire = wire
        self.is_deaf = False
        self._limits = limits
        self._owner = owner
        self._text_only = text_only
        self._is_compressed = is_compressed
        self._parser: Parser | None = None  # while something of a message is there
        self._frames: Bucket | None = None  # since the first frame
        self._is_on = False
        self._is_called = False  # a callback of the loop is scheduled
        self._watcher: Any = None  # where there is no epoll
        self.fd = wire.fileno()

    def start(self) -> None:
        """Read the bytes that come, and those that have come already."""
        self._is_on = True
        if HAS_EPOLL:
            lookout().add(self)
        else:
            if self._watcher is None:
                self._watcher = get_hub().loop.io(self.fd, _READ)
            self._watcher.start(self.on_event)
        self._go_on()

    def stop(self) -> None:
        """Stop reading. The client's own writes will have to wait."""
        self._is_on = False
        if HAS_EPOLL:
            lookout().remove(self)
        elif self._watcher is not None:
            self._watcher.stop()

    def close(self) -> None:
        """Stop reading for ever."""
        self.stop()
        if self._watcher is not None:
            self._watcher.close()

    def on_event(self) -> None:
        """Take a turn: there are bytes, or their end."""
        if not self._is_on:
            return
        goes_on = self._has_parsable
        data = b"" if goes_on else self.wire.receive()
        if data is None:
            return
        if not data and not goes_on:
            self._owner.on_end()
            return
        if not self.is_deaf:
            now = time.monotonic()
            self._owner.on_items(self._items(data, now), now)
        self._go_on()

    @property
    def _has_parsable(self) -> bool:
        """True if the parser has input left from its last turn."""
        return self._parser is not None and self._parser.has_more and not self.is_deaf

    def _go_on(self) -> None:
        """Schedule a turn for bytes that wait in TLS or in the parser. The watcher can't see them."""
        if self._is_on and not self._is_called and (self._has_parsable or self.wire.has_more):
            self._is_called = True
            get_hub().loop.run_callback(self._called)

    def _called(self) -> None:
        self._is_called = False
        self.on_event()

    def _items(self, data: bytes, now: float) -> list[Item]:
        limits = self._limits
        parser = self._parser
        if parser is None:
            parser = Parser(
                message_bytes=limits.message_bytes,
                fragments=limits.fragments,
                text_only=self._text_only,
                is_compressed=self._is_compressed,
            )
        before = parser.frames
        items = parser.feed(data)
        self._parser = None if parser.is_between_messages else parser
        if self._frames is None:
            self._frames = Bucket(limits.frames_per_second)
        if not self._frames.take(parser.frames - before, now):
            items.append(Violation(TOO_FAST.saying(f"More than {limits.frames_per_second:g} frames a second.")))
        return items
