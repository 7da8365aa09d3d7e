"""Connection: one at the door, between requests or with one that is not complete or not answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .client import Client
from .head import Head


class Connection:
    """A client's connection.

    Args:
        client: Its socket.
        address: Address of the other end.
        watcher: Watches the socket for reading.

    Attributes:
        data: Bytes that were read and not answered yet.
        head: The head of the request that they begin with, if that is known.
        is_busy: Whether its request is being answered.
        since: Monotonic seconds since which it waits for bytes.
    """

    __slots__ = ("_watcher", "_watches", "address", "client", "data", "head", "is_busy", "since")

    def __init__(self, client: Client, address: Any, watcher: Any) -> None:
        self.client = client
        self.address = address
        self.data = b""
        self.head: Head | None = None
        self.is_busy = False
        self.since = 0.0
        self._watcher = watcher
        self._watches = False

    def watch(self, on_readable: Callable[[Connection], object]) -> None:
        """Call a function whenever the client has said something, or has left."""
        if not self._watches:
            self._watches = True
            self._watcher.start(on_readable, self)

    def pause(self) -> None:
        """Stop to watch for now."""
        self._watches = False
        self._watcher.stop()

    def unwatch(self) -> None:
        """Stop to watch for good, because the socket is another part's from now on. May be called twice."""
        self.pause()
        self._watcher.close()

    def begin(self, head: Head) -> None:
        """Note that this request is being answered."""
        self.head = head
        self.is_busy = True

    def end(self) -> None:
        """Note that it was."""
        self.head = None
        self.is_busy = False
