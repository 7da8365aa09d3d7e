"""Where the log of a run is: one place that knows the brokers, for `@on("sqlite", "redis")`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import Server, serve


@dataclass(frozen=True)
class Store:
    """The log of one test.

    Attributes:
        tier: ``memory``, ``sqlite`` or ``redis``.
        folder: Of the test.
        url: For ``SIMULCAST_BROKER_URL``.
        workers: That may share it, in these tests.
        redis: The server, if there is one.
    """

    tier: str
    folder: Path
    url: str
    workers: int = 2
    redis: Redis | None = None

    def serve(self, name: str = "server", **options: Any) -> contextlib.AbstractContextManager[Server]:
        """A server on this log, in a folder of its own; options as `tests.tools.serving.serve` has them."""
        return serve(self.folder / name, **{"broker_url": self.url, "workers": self.workers} | options)


def on(*tiers: str) -> pytest.MarkDecorator:
    """The test runs once for each of these, and gets it as ``store``."""
    return pytest.mark.parametrize("store", tiers, indirect=True)


@contextlib.contextmanager
def open_store(tier: str, folder: Path, *, keeps: bool = True) -> Iterator[Store]:
    """Start what the tier needs.

    Args:
        tier: ``memory``, ``sqlite`` or ``redis``.
        folder: For its files.
        keeps: Redis with an append-only file.
    """
    if tier == "memory":
        yield Store(tier, folder, "memory://", workers=1)
    elif tier == "sqlite":
        yield Store(tier, folder, f"sqlite:///{folder}/log.db")
    else:
        with serve_redis(folder / "redis", keeps=keeps) as redis:
            yield Store(tier, folder, redis.url, redis=redis)
