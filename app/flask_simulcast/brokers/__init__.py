"""Brokers by URL."""

from __future__ import annotations

from ..errors import SettingError
from ..settings import Settings
from .base import Broker, Clock


def connect(settings: Settings, clock: Clock | None = None) -> Broker:
    """Open the log that ``SIMULCAST_BROKER_URL`` names.

    Raises:
        SettingError: No broker has this scheme.
        BrokerUnavailableError: The log can't be opened.
    """
    url = settings.broker_url
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "memory":
        from .memory import MemoryBroker

        return MemoryBroker(settings, clock or Clock())
    if separator and scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from .sqlite import SQLiteBroker

        return SQLiteBroker(rest[1:], settings, clock or Clock())
    raise SettingError(
        f"SIMULCAST_BROKER_URL={url!r} names no broker. "
        "Use for example SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db or memory://."
    )
