"""Publish once; every listener gets it, in order, over SSE or chunked JSON, and what it missed when it comes back."""

from __future__ import annotations

from .errors import (
    BrokerError,
    BrokerUnavailableError,
    ChannelCountError,
    ChannelNameError,
    DrainingError,
    EventDataError,
    EventTooLargeError,
    EventTypeError,
    IdempotencyKeyError,
    InvalidEventError,
    ListenerLimitError,
    ListenError,
    NotPatchedError,
    PublishUncertainError,
    SettingError,
    SimulcastError,
)
from .event import Event, Position
from .extension import Simulcast
from .listener import CloseReason, Listener
from .settings import Settings
from .signals import broker_lost, broker_restored, listener_added, listener_removed, worker_draining

__version__ = "0.1.0"

__all__ = [
    "BrokerError",
    "BrokerUnavailableError",
    "ChannelCountError",
    "ChannelNameError",
    "CloseReason",
    "DrainingError",
    "Event",
    "EventDataError",
    "EventTooLargeError",
    "EventTypeError",
    "IdempotencyKeyError",
    "InvalidEventError",
    "ListenError",
    "Listener",
    "ListenerLimitError",
    "NotPatchedError",
    "Position",
    "PublishUncertainError",
    "SettingError",
    "Settings",
    "Simulcast",
    "SimulcastError",
    "broker_lost",
    "broker_restored",
    "listener_added",
    "listener_removed",
    "worker_draining",
]
