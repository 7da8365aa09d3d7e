"""Draining: how a worker that stops ends what is open: listeners, WebSockets, calls of RPC."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

import gevent

from .close_reason import CloseReason
from .loop import let_others_in

_A_TURN = 64
_LOOK_SECONDS = 0.01


class Closes(Protocol):
    """Something that is open. Nothing here switches."""

    def close(self, reason: CloseReason, /) -> object:
        """Begin its end, with a last message to its client."""

    def cut(self) -> object:
        """End it now."""


def drain(open: Collection[Closes], seconds: float) -> None:
    """Close all with a last message, and cut those that have not ended in time. Switches.

    Args:
        open: What is open. Each leaves it at its end.
        seconds: Time that they have for their ends.
    """
    for count, each in enumerate(list(open), 1):
        each.close(CloseReason.DRAINING)
        if not count % _A_TURN:
            let_others_in()
    wait_for_all(open, seconds)
    for each in list(open):
        each.cut()


def wait_for_all(open: Collection[Closes], seconds: float) -> None:
    """Wait until nothing is open, for some seconds at most. Switches."""
    deadline = time.monotonic() + seconds
    while open and time.monotonic() < deadline:
        gevent.sleep(_LOOK_SECONDS)
