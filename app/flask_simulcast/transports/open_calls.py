"""The open calls of RPC of one app in this process: their end when the worker stops."""

from __future__ import annotations

from ..close_reason import CloseReason
from ..draining import Closes, drain
from ..settings import Settings


class OpenCalls:
    """The calls that go on after their requests, or wait for their clients.

    Args:
        settings: The settings of the app.

    Attributes:
        settings: The settings of the app.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._open: set[Closes] = set()
        self._is_draining = False

    def add(self, call: Closes) -> None:
        """Add a call; close it if the worker stops already. Does not switch."""
        self._open.add(call)
        if self._is_draining:
            call.close(CloseReason.DRAINING)

    def remove(self, call: Closes) -> None:
        """Remove a call that has ended."""
        self._open.discard(call)

    def drain(self) -> None:
        """Close every call, and cut those that do not end in time. Switches."""
        self._is_draining = True
        drain(self._open, self.settings.drain_seconds)
