"""Logs in SQLite files and in Redis, closed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock
from tests.tools.redis_server import Redis, serve_redis


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "simulcast.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_broker(path: Path, clock: FakeClock) -> Iterator[Callable[..., SQLiteBroker]]:
    opened = []

    def open_it(file: Path = path, use: Clock = clock, **settings: object) -> SQLiteBroker:
        broker = SQLiteBroker(str(file), Settings(**settings), use)
        opened.append(broker)
        return broker

    yield open_it
    for broker in opened:
        broker.close()


@pytest.fixture
def open_redis() -> Iterator[Callable[..., RedisBroker]]:
    opened = []

    def open_it(url: str, use: Clock | None = None, **settings: object) -> RedisBroker:
        broker = RedisBroker(url, Settings(**settings), use)
        opened.append(broker)
        return broker

    yield open_it
    for broker in opened:
        broker.close()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server for all tests; each begins with nothing in it."""
    with serve_redis(tmp_path_factory.mktemp("redis"), keeps=False) as server:
        yield server
