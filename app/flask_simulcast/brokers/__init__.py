"""Open the broker that a URL names."""

from __future__ import annotations

import os
from dataclasses import replace

from ..errors import BrokerUnavailableError, SettingError
from ..settings import Settings
from ..url import shown, sqlite_path, sqlite_url
from .base import Broker, Clock

_REDIS = ("redis", "rediss", "unix", "sentinel")


def check_url(settings: Settings) -> None:
    """Check that a broker serves this URL, without opening it.

    Raises:
        SettingError: No broker serves it, or its package is not installed.
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
            url.make_pool(settings.broker_url, 1)
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
    """Return these settings with the absolute path of an SQLite log. Looks at the disk, but opens nothing.

    Args:
        instance_folder: The app's instance folder. A relative path begins there, unless an earlier version left the log
            elsewhere. None for a program without an app: a relative path begins in the working directory.
    """
    path = sqlite_path(settings.broker_url)
    if path is None:
        return settings
    from .sqlite.location import locate

    file = os.path.abspath(path) if instance_folder is None else locate(path, instance_folder)
    return replace(settings, broker_url=sqlite_url(file))


def check_log(settings: Settings) -> None:
    """Check that the log exists, as far as the disk shows it. Never asks a server.

    Raises:
        BrokerUnavailableError: The file does not exist. The message names its absolute path.
    """
    path = sqlite_path(settings.broker_url)
    if path is not None and not os.path.exists(path):
        raise BrokerUnavailableError(
            f"There is no log at {os.path.abspath(path)}. Name the file that the server uses, start the server first, "
            "or pass create=True to make a new log there."
        )


def check_alone(settings: Settings) -> None:
    """Check that no other worker of this server has a log in memory, if this log is in memory. May switch.

    Raises:
        SettingError: The log is in memory, and another worker has one too.
    """
    if settings.has_memory_log:
        from .memory import alone

        alone.check_alone()


def connect(settings: Settings, clock: Clock | None = None, *, create: bool = True) -> Broker:
    """Open the log that ``SIMULCAST_BROKER_URL`` names.

    Args:
        create: Make a missing file and its folder.

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
