"""A client for programs: listens to a stream and comes back by itself, and publishes. It needs neither Flask nor gevent."""

from __future__ import annotations

from .backoff import Backoff
from .client import Client
from .errors import ClientError, RefusedError, UnreachableError
from .event import ReceivedEvent
from .status import State, Status
from .stream import Stream

__all__ = [
    "Backoff",
    "Client",
    "ClientError",
    "ReceivedEvent",
    "RefusedError",
    "State",
    "Status",
    "Stream",
    "UnreachableError",
]
