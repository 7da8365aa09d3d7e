"""WebSocket connections with limits, on top of flask-sock."""

from __future__ import annotations

from .close_codes import CLOSE_CODES, CloseCode
from .connection import Connection
from .connections import Connections, drain_websockets
from .late_refusal import closes_if_refused
from .limits import Limits
from .sock import GuardedSock, mismatch

__all__ = [
    "CLOSE_CODES",
    "CloseCode",
    "Connection",
    "Connections",
    "GuardedSock",
    "Limits",
    "closes_if_refused",
    "drain_websockets",
    "mismatch",
]
