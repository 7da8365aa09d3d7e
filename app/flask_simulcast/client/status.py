"""Status: how a stream is."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["connecting", "live", "stale", "reconnecting", "closed"]


class Status(NamedTuple):
    """How a stream is, and why.

    Attributes:
        state: ``connecting`` at the first try; ``live`` once the server has sent an event; ``stale`` while the server is silent
            for longer than it should be; ``reconnecting`` between two tries and during the next; ``closed`` for good.
        reason: Why the last connection ended: ``lost``, ``silent``, ``unreachable``, ``certificate``, or the server's word. Empty
            while it works.
        wait_seconds: Seconds until the next try; 0 if none is waited for.
    """

    state: State
    reason: str = ""
    wait_seconds: float = 0.0
