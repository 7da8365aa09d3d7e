"""Close reasons: why a listener or a WebSocket was closed, and whether its client should come back."""

from __future__ import annotations

import enum


class CloseReason(enum.Enum):
    """Why a listener was closed. A client reads the value in ``closed``."""

    CLIENT_GONE = "client_gone"
    STALLED = "stalled"
    EXPIRED = "expired"
    REVOKED = "revoked"
    KICKED = "kicked"
    DRAINING = "draining"
    BROKER_LOST = "broker_lost"
    LIMIT = "limit"
    DEADLINE = "deadline"
    FINISHED = "finished"

    @property
    def reconnect(self) -> bool:
        """Whether the client should reconnect."""
        return self not in _FOR_GOOD


_FOR_GOOD = frozenset({CloseReason.EXPIRED, CloseReason.REVOKED, CloseReason.DEADLINE, CloseReason.FINISHED})
