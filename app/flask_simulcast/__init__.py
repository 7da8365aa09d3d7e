"""Publish once; every listener gets it, in order, over SSE or chunked JSON, and what it missed when it comes back."""

from __future__ import annotations

from . import cors, errors, metrics, rows, server_log, signals
from .encoding import Encoding
from .encoding.ndjson import NDJSON
from .encoding.websocket import text_frame
from .errors import (
    BrokerUnavailableError,
    ConnectionClosedError,
    ForbiddenError,
    ListenerGoneError,
    PublishUncertainError,
    SettingError,
    SimulcastError,
    UnauthorizedError,
    client_input,
)
from .event import Event, IdempotencyKey, Position
from .extension import Simulcast
from .grant import Grant
from .hub.history import History
from .listener import CloseReason, Listener
from .presence import Member, Place
from .publisher import Publisher
from .settings import Settings
from .transports.address import address_of
from .transports.websocket import CloseCode, Connection, GuardedSock, Subscription
from .transports.writer.writer import Writer, WriterEvent

__version__ = "0.1.0"

__all__ = [
    "NDJSON",
    "BrokerUnavailableError",
    "CloseCode",
    "CloseReason",
    "Connection",
    "ConnectionClosedError",
    "Encoding",
    "Event",
    "ForbiddenError",
    "Grant",
    "GuardedSock",
    "History",
    "IdempotencyKey",
    "Listener",
    "ListenerGoneError",
    "Member",
    "Place",
    "Position",
    "PublishUncertainError",
    "Publisher",
    "SettingError",
    "Settings",
    "Simulcast",
    "SimulcastError",
    "Subscription",
    "UnauthorizedError",
    "Writer",
    "WriterEvent",
    "address_of",
    "client_input",
    "cors",
    "errors",
    "metrics",
    "rows",
    "server_log",
    "signals",
    "text_frame",
]
