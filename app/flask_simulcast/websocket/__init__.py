"""WebSocket: one guarded connection, on top of flask-sock. What is guarded is in `docs/websocket.md`."""

from __future__ import annotations

from .connection import Connection
from .connections import Connections, drain_websockets
from .endings import ENDINGS, Ending
from .feed import feed
from .limits import Limits
from .sock import GuardedSock, mismatch
from .subscription import OnlyThese, Subscription

__all__ = [
    "ENDINGS",
    "Connection",
    "Connections",
    "Ending",
    "GuardedSock",
    "Limits",
    "OnlyThese",
    "Subscription",
    "drain_websockets",
    "feed",
    "mismatch",
]
