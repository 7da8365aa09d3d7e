"""Each broker keeps every promise of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from app.flask_simulcast.brokers.base import Broker, Clock
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.hub.gateway import Gateway
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.loop_thread import in_loop
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import BrokerContract
from tests.tools.redis_server import Redis


class TestMemory(BrokerContract):
    is_shared = False

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        return MemoryBroker(settings, clock)


class TestSQLite(BrokerContract):
    # One costs 40 µs to keep and 120 to take twice; with a loop, which hands each to a thread, twice that.
    tickets = 5_000 if is_patched() else 20_000

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log" / "simulcast.db"

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        return SQLiteBroker(str(self.path), settings, clock)


class TestSQLiteInThread(TestSQLite):
    tickets = 1_000

    def open(self, **settings: object) -> Broker:
        return super().open(sqlite_commit_in_thread=True, **settings)


class TestRedis(BrokerContract):
    tickets = 5_000

    @pytest.fixture(autouse=True)
    def _server(self, redis: Redis) -> None:
        redis.command("FLUSHALL")
        self.url = redis.url

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        return RedisBroker(self.url, settings, clock)


class InLoopThread(BrokerContract):
    """The broker lives in the loop thread, where the hub of an unpatched process has it."""

    tickets = 1_000

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        return cast(Broker, Gateway(in_loop(super().make_broker, settings, clock)))


unpatched = pytest.mark.skipif(is_patched(), reason="a patched process has no loop thread")


@unpatched
class TestMemoryInLoopThread(InLoopThread, TestMemory):
    pass


@unpatched
class TestSQLiteInLoopThread(InLoopThread, TestSQLite):
    tickets = 1_000


@unpatched
class TestRedisInLoopThread(InLoopThread, TestRedis):
    tickets = 1_000
