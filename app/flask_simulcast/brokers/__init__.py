"""Brokers by URL."""

from __future__ import annotations

from ..errors import SettingError
from ..settings import Settings
from .base import Broker, Clock

_REDIS = ("redis", "rediss", "unix", "sentinel")


def check_url(settings: Settings) -> None:
    """Whether a broker has this URL, without opening it.

    Raises:
        SettingError: None has.
    """
    scheme, _, path = settings.broker_url.partition("://")
    if scheme == "memory" or (scheme == "sqlite" and path.startswith("/") and len(path) > 1):
        return
    shown = repr(settings.broker_url)
    if scheme in _REDIS and path:
        shown = f"{scheme}://…"  # there may be a password in it
        try:
            from .redis import url
        except ImportError as error:
            raise SettingError(
                f"SIMULCAST_BROKER_URL={shown} needs redis. Install it: pip install 'flask-simulcast[redis]'."
            ) from error
        try:
            url.make_pool(settings.broker_url, settings.redis_seconds)
            return
        except ValueError as error:
            raise SettingError(
                f"SIMULCAST_BROKER_URL={shown} can't be used: {error}. "
                "Use for example SIMULCAST_BROKER_URL=redis://localhost:6379/0."
            ) from None
    raise SettingError(
        f"SIMULCAST_BROKER_URL={shown} names no broker. "
        "Use for example SIMULCAST_BROKER_URL=sqlite:///instance/simulcast.db, redis://localhost:6379/0 or memory://."
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
    if scheme in _REDIS:
        from .redis import RedisBroker

        return RedisBroker(settings.broker_url, settings, clock)
    from .sqlite import SQLiteBroker

    return SQLiteBroker(path[1:], settings, clock or Clock())
