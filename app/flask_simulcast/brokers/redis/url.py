"""Parse the Redis URLs of SIMULCAST_BROKER_URL and make their connections.

- ``redis://[user:password@]host[:port][/db]``, ``rediss://`` with TLS, ``unix://path[?db=n]``
- ``sentinel://[user:password@]host[:port],host[:port]/service[/db]``: the master that the sentinels name
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

_SENTINEL_PORT = 26379
_ESCAPE = "in a password write %2F for /, %3F for ?, %23 for #, %40 for @"


def make_pool(url: str, seconds: float) -> redis.ConnectionPool:
    """Return a pool that makes connections. It does not connect yet.

    Args:
        url: One of the URLs above.
        seconds: Timeout of a connect, and of each answer.

    Raises:
        ValueError: The URL can't be read.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": seconds,
        "socket_timeout": seconds,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),  # an append that was perhaps stored must not be sent again
        "protocol": 2,
        "decode_responses": True,
    }
    try:
        pool = _sentinel_pool(url, options) if url.startswith("sentinel://") else _plain_pool(url, options)
        pool.make_connection()
    except _UnreadableError:
        raise
    except (ValueError, TypeError, redis.RedisError):  # their messages might quote the URL, and so a password
        raise _UnreadableError(f"host, port, db number or an option after ? can't be read; {_ESCAPE}") from None
    return pool


class _UnreadableError(ValueError):
    """An error about a URL. Its message quotes nothing of the URL."""


def _plain_pool(url: str, options: dict[str, Any]) -> redis.ConnectionPool:
    parts = urlsplit(url)
    if parts.fragment:
        raise _UnreadableError(f"it has a #; {_ESCAPE}")
    if parts.scheme != "unix":
        _ = parts.port  # raises where it is no number
        _check_db(parts.path.strip("/"))
    elif not parts.path:
        raise _UnreadableError("it names no socket")
    else:
        del options["socket_keepalive"]  # for TCP only
    names = set(parse_qs(parts.query, keep_blank_values=True))
    if taken := sorted(names & options.keys()):
        raise _UnreadableError(f"{', '.join(taken)} after ? can't be set in the URL")
    _check_db(*parse_qs(parts.query).get("db", []))
    return redis.ConnectionPool.from_url(url, **options)


def _check_db(*texts: str) -> None:
    for text in texts:
        if text and not (text.isascii() and text.isdecimal()):
            raise _UnreadableError(f"its db is not a number; {_ESCAPE}")


def _sentinel_pool(url: str, options: dict[str, Any]) -> redis.ConnectionPool:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise _UnreadableError("it names no sentinel or no service")
    if parts.query or parts.fragment:
        raise _UnreadableError(f"sentinel:// takes no options after ? or #; {_ESCAPE}")
    _check_db(db)
    if db:
        options["db"] = int(db)
    if password:
        options["password"] = unquote(password)
    if user:
        options["username"] = unquote(user)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_address(host) for host in hosts.split(",")],
        sentinel_kwargs={
            name: options[name] for name in ("socket_connect_timeout", "socket_timeout", "retry", "protocol")
        },
    )
    return SentinelConnectionPool(service, sentinel, **options)  # type: ignore[no-untyped-call]


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise _UnreadableError("a sentinel has no name")
    return parts.hostname, parts.port or _SENTINEL_PORT
