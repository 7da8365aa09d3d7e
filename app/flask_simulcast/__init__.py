"""Publish once; every listener gets it, in order, over SSE or chunked JSON, and what it missed when it comes back."""

from __future__ import annotations

from . import server_log as server_log
from .encoding import Encoding
from .encoding.ndjson import NDJSON
from .encoding.websocket import text_frame
from .errors import (
    BrokerError,
    BrokerUnavailableError,
    ChannelCountError,
    ChannelNameError,
    ConnectionClosedError,
    DrainingError,
    EventDataError,
    EventTooLargeError,
    EventTypeError,
    ForbiddenError,
    GrantError,
    HandshakeError,
    IdempotencyConflictError,
    IdempotencyKeyError,
    InvalidEventError,
    ListenerGoneError,
    ListenerLimitError,
    ListenError,
    NoRequestError,
    NoSuchListenerError,
    NotHTTPError,
    NotPatchedError,
    PublishUncertainError,
    SettingError,
    SimulcastError,
    StreamingNotSupportedError,
    TooManyListenersError,
    UnauthorizedError,
    UpgradeRequiredError,
    WebSocketError,
    WriterError,
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
from .signals import (
    broker_lost,
    broker_restored,
    draining,
    event_published,
    gap_sent,
    listener_added,
    listener_closed,
    listener_lagging,
    listener_removed,
)
from .transports import cors as cors
from .transports.address import address_of
from .transports.websocket import CloseCode, Connection, GuardedSock, Subscription
from .transports.writer.writer import Writer, WriterEvent

__version__ = "0.1.0"

__all__ = [
    "NDJSON",
    "BrokerError",
    "BrokerUnavailableError",
    "ChannelCountError",
    "ChannelNameError",
    "CloseCode",
    "CloseReason",
    "Connection",
    "ConnectionClosedError",
    "DrainingError",
    "Encoding",
    "Event",
    "EventDataError",
    "EventTooLargeError",
    "EventTypeError",
    "ForbiddenError",
    "Grant",
    "GrantError",
    "GuardedSock",
    "HandshakeError",
    "History",
    "IdempotencyConflictError",
    "IdempotencyKey",
    "IdempotencyKeyError",
    "InvalidEventError",
    "ListenError",
    "Listener",
    "ListenerGoneError",
    "ListenerLimitError",
    "Member",
    "NoRequestError",
    "NoSuchListenerError",
    "NotHTTPError",
    "NotPatchedError",
    "Place",
    "Position",
    "PublishUncertainError",
    "Publisher",
    "SettingError",
    "Settings",
    "Simulcast",
    "SimulcastError",
    "StreamingNotSupportedError",
    "Subscription",
    "TooManyListenersError",
    "UnauthorizedError",
    "UpgradeRequiredError",
    "WebSocketError",
    "Writer",
    "WriterError",
    "WriterEvent",
    "address_of",
    "broker_lost",
    "broker_restored",
    "client_input",
    "draining",
    "event_published",
    "gap_sent",
    "listener_added",
    "listener_closed",
    "listener_lagging",
    "listener_removed",
    "text_frame",
]
