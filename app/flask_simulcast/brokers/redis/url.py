"""Where Redis is: the URLs that SIMULCAST_BROKER_URL may have, and the connections that they stand for.

- ``redis://[user:password@]host[:port][/db]``, ``rediss://`` with TLS, ``unix://path[?db=n]``
- ``sentinel://[user:password@]host[:port],host[:port]/service[/db]``: whoever the sentinels say is the master now
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

_SENTINEL_PORT = 26379


def make_pool(url: str, seconds: float) -> redis.ConnectionPool:
    """What makes connections. None is made yet.

    Args:
        url: One of the above.
        seconds: How long connecting may take, and each answer.

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
    if url.startswith("sentinel://"):
        return _sentinel_pool(url, options)
    return redis.ConnectionPool.from_url(url, **options)


def _sentinel_pool(url: str, options: dict[str, Any]) -> redis.ConnectionPool:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise ValueError("it names no sentinel or no service")
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
    name, _, port = host.rpartition(":")
    return (name, int(port)) if name else (port, _SENTINEL_PORT)
