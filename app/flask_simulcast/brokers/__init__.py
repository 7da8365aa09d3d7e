"""Brokers by URL."""

from __future__ import annotations

from ..errors import SettingError
from ..settings import Settings
from .base import Broker, Clock


def check_url(settings: Settings) -> None:
    """Whether a broker has this URL, without opening it.

    Raises:
        SettingError: None has.
    """
    url = settings.broker_url
    scheme, _, path = url.partition("://")
    if scheme == "memory" or (scheme == "sqlite" and path.startswith("/") and len(path) > 1):
        return
    raise SettingError(
        f"SIMULCAST_BROKER_URL={url!r} names no broker. "
        "Use for example SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db or memory://."
    )


def connect(settings: Settings, clock: Clock | None = None) -> Broker:
    """Open the log that ``SIMULCAST_BROKER_URL`` names.

    Raises:
        SettingError: No broker has this scheme.
        BrokerUnavailableError: The log can't be opened.
    """
    check_url(settings)
    scheme, _, path = settings.broker_url.partition("://")
    if scheme == "memory":
        from .memory import MemoryBroker

        return MemoryBroker(settings, clock or Clock())
    from .sqlite import SQLiteBroker

    return SQLiteBroker(path[1:], settings, clock or Clock())
