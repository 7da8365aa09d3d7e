"""Publish once; every listener gets it, in order, over SSE or chunked JSON, and what it missed when it comes back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from . import cors, errors, metrics, rows, server_log
from .brokers.base import ChannelSummary
from .encoding import Encoding
from .encoding.ndjson import NDJSON
from .encoding.sse import SSE
from .encoding.sse_reader import SSEReader
from .encoding.websocket import text_frame
from .errors import (
    BrokerUnavailableError,
    ConnectionClosedError,
    ForbiddenError,
    ListenerGoneError,
    PublishUncertainError,
    RunEndedError,
    RunFailedError,
    SettingError,
    SimulcastError,
    UnauthorizedError,
    client_input,
)
from .event import Event, IdempotencyKey, Position
from .grant import Grant
from .hub.history import History
from .presence import Member, Place
from .publisher import Publisher
from .run_state import RunState
from .settings import Settings
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import client, hot, ops, signals
    from . import rpc as rpc  # not in __all__, because it needs an extra, and ``import *`` takes all
    from .close_reason import CloseReason
    from .extension import Simulcast
    from .listener import Listener
    from .run import Run
    from .subscriptions import Subscriptions
    from .transports.address import address_of
    from .transports.subscription import Subscription
    from .transports.websocket import CloseCode, Connection, GuardedSock
    from .transports.writer.writer import Writer, WriterEvent

__all__ = [
    "NDJSON",
    "SSE",
    "BrokerUnavailableError",
    "ChannelSummary",
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
    "Run",
    "RunEndedError",
    "RunFailedError",
    "RunState",
    "SSEReader",
    "SettingError",
    "Settings",
    "Simulcast",
    "SimulcastError",
    "Subscription",
    "Subscriptions",
    "UnauthorizedError",
    "Writer",
    "WriterEvent",
    "address_of",
    "client",
    "client_input",
    "cors",
    "errors",
    "hot",
    "metrics",
    "ops",
    "rows",
    "server_log",
    "signals",
    "text_frame",
]

# These need Flask, gevent or blinker, so each is imported at its first use: a program that only publishes starts without them.
_LATER = {
    "CloseCode": ".transports.websocket",
    "CloseReason": ".listener",
    "Connection": ".transports.websocket",
    "GuardedSock": ".transports.websocket",
    "Listener": ".listener",
    "Run": ".run",
    "Simulcast": ".extension",
    "Subscription": ".transports.subscription",
    "Subscriptions": ".subscriptions",
    "Writer": ".transports.writer.writer",
    "WriterEvent": ".transports.writer.writer",
    "address_of": ".transports.address",
    "client": "",
    "hot": "",
    "ops": "",
    "rpc": "",
    "signals": "",
}

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take any name for a real one

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(_LATER[name] or f".{name}", __name__)
        globals()[name] = module if not _LATER[name] else getattr(module, name)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})
