"""Checks of a log in Redis: what its memory and its files are set to, and its clock."""

from __future__ import annotations

import time
from typing import Any

from ..errors import SettingError
from ..settings import Settings
from ..url import shown
from .faults import fault
from .finding import Finding, note, sound

_OLDEST = (6, 2)
_SECONDS = 3.0
_FULL = 0.9
_MOST_SECONDS_APART = 1.0


def check(settings: Settings) -> list[Finding]:
    """Connect once, and look at what the server tells of itself."""
    import redis

    from ..brokers.redis.url import make_pool

    try:
        client = redis.Redis(connection_pool=make_pool(settings.broker_url, settings.broker_seconds or _SECONDS))
        with client:
            facts: dict[str, Any] = client.info()
            sent = time.time()
            seconds, micros = client.time()
            ahead = seconds + micros / 1e6 - (sent + time.time()) / 2
            fsync = _setting(client, "appendfsync")
    except (redis.RedisError, OSError, ValueError, SettingError) as error:
        told = f"Redis gives no answer: {str(error).rstrip('.') or type(error).__name__}."
        return [fault("redis_away", told, (shown(settings.broker_url),))]
    return [server(facts), memory(facts), persistence(facts, fsync), clock(ahead)]


def _setting(client: Any, name: str) -> str | None:
    """Return a setting; None if this user must not ask for it."""
    import redis

    try:
        value = client.config_get(name).get(name)
    except redis.ResponseError:
        return None
    return str(value) if value else None


def server(facts: dict[str, Any]) -> Finding:
    """Look whether the server is new enough, and no replica."""
    version = str(facts.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return fault("redis_old", f"Redis {version} can't hold the log.", (version,))
    if facts.get("role") == "slave":
        master = f"{facts.get('master_host')}:{facts.get('master_port')}"
        return fault("redis_replica", f"This Redis is a replica of {master}, and takes no events.", (master,))
    return sound("redis", f"Redis {version} answers.")


def memory(facts: dict[str, Any]) -> Finding:
    """Look whether the server evicts keys, and whether its memory is nearly full."""
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        told = "Redis evicts keys when its memory is full, and with them parts of the log: the app refuses it."
        return fault("redis_policy", told, (policy,))
    most, used = int(facts.get("maxmemory", 0)), int(facts.get("used_memory", 0))
    if most and used > _FULL * most:
        told = f"Redis uses {used} of {most} bytes: at the limit it takes no events."
        return fault("redis_full", told, (most,), (2 * most,))
    return sound("redis memory", "Redis evicts nothing.")


def persistence(facts: dict[str, Any], fsync: str | None) -> Finding:
    """Look whether a restart of the server keeps the log."""
    if not int(facts.get("aof_enabled", 1)):
        return fault("redis_persistence", "Redis writes no append-only file, so a restart loses the log.")
    if fsync == "no":
        return note(
            "redis persistence", "appendfsync no: a power cut loses what the kernel had not written, often 30 s."
        )
    told = f"appendfsync {fsync}" if fsync else "appendfsync could not be read"
    return sound("redis persistence", f"Redis writes an append-only file ({told}).")


def clock(ahead: float) -> Finding:
    """Compare the clock of Redis, which gives positions, with this one, which checks tokens."""
    if abs(ahead) > _MOST_SECONDS_APART:
        told = f"The clock of Redis is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this one."
        return fault("redis_clock", told, (f"{abs(ahead):.1f}",))
    return sound("clock", "The clock of Redis agrees with this one.")
