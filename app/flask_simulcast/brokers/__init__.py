"""Brokers by URL."""

from __future__ import annotations

import os
from dataclasses import replace

from ..errors import BrokerUnavailableError, SettingError
from ..settings import Settings
from ..url import shown, sqlite_path, sqlite_url
from .base import Broker, Clock

_REDIS = ("redis", "rediss", "unix", "sentinel")


def check_url(settings: Settings) -> None:
    """Whether a broker has this URL, without opening it.

    Raises:
        SettingError: None has.
    """
    scheme, _, rest = settings.broker_url.partition("://")
    if scheme == "memory" or sqlite_path(settings.broker_url) is not None:
        return
    told = f"SIMULCAST_BROKER_URL={shown(settings.broker_url)}"
    if scheme in _REDIS and rest:
        try:
            from .redis import url
        except ImportError as error:
            raise SettingError(f"{told} needs redis. Install it: pip install 'flask-simulcast[redis]'.") from error
        try:
            url.make_pool(settings.broker_url, settings.redis_seconds)
            return
        except ValueError as error:
            raise SettingError(
                f"{told} can't be used: {error}. Use for example SIMULCAST_BROKER_URL=redis://localhost:6379/0."
            ) from None
    raise SettingError(
        f"{told} names no broker. "
        "Use for example SIMULCAST_BROKER_URL=sqlite:///simulcast.db, redis://localhost:6379/0 or memory://."
    )


def located(settings: Settings, instance_folder: str | None = None) -> Settings:
    """These settings, with the absolute path of an SQLite log. Looks at the disk, and opens nothing.

    Args:
        instance_folder: Of an app: there a relative path begins, or where an earlier version left the log. None for a
            program without an app: a relative path begins in the working directory.
    """
    path = sqlite_path(settings.broker_url)
    if path is None:
        return settings
    from .sqlite.location import locate

    file = os.path.abspath(path) if instance_folder is None else locate(path, instance_folder)
    return replace(settings, broker_url=sqlite_url(file))


def check_log(settings: Settings) -> None:
    """Whether there is a log already, as far as that can be told without asking a server.

    Raises:
        BrokerUnavailableError: The file is not there. Names its absolute path.
    """
    path = sqlite_path(settings.broker_url)
    if path is not None and not os.path.exists(path):
        raise BrokerUnavailableError(
            f"There is no log at {os.path.abspath(path)}. Name the file that the server uses, start the server first, "
            "or pass create=True to make a new log there."
        )


def check_alone(settings: Settings) -> None:
    """Whether this process may have this log, although others of the same server are there. May switch.

    Raises:
        SettingError: It is in memory, and another worker has one.
    """
    if settings.has_memory_log:
        from .memory import alone

        alone.check_alone()


def connect(settings: Settings, clock: Clock | None = None, *, create: bool = True) -> Broker:
    """Open the log that ``SIMULCAST_BROKER_URL`` names.

    Args:
        create: Make a file that is not there, with its folder.

    Raises:
        SettingError: No broker has this scheme.
        BrokerUnavailableError: The log can't be opened.
    """
    check_url(settings)
    if not create:
        check_log(settings)
    scheme, _, path = settings.broker_url.partition("://")
    if scheme == "memory":
        from .memory.broker import MemoryBroker

        return MemoryBroker(settings, clock or Clock())
    if scheme in _REDIS:
        from .redis.broker import RedisBroker

        return RedisBroker(settings.broker_url, settings, clock)
    from .sqlite.broker import SQLiteBroker

    return SQLiteBroker(path[1:], settings, clock or Clock())
