"""Another branch of the log: a server that was flushed, put back, or replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.errors import BrokerError, BrokerUnavailableError
from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import draft, reconnect
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import wait_until

Open = Callable[..., RedisBroker]
# Redis looks this often a second whether a blocked client has waited for its time, by default ten times; and it waits for no
# second replica before it sends its content to the first.
AT_ONCE = {"hz": "500", "repl-diskless-sync-delay": "0"}


@pytest.fixture
def server(redis: Redis) -> Redis:
    redis.command("FLUSHALL")
    return redis


class Flushed:
    """Send FLUSHALL."""

    rounds = 100

    def __init__(self, folder: Path) -> None:
        self.server = Redis(folder, keeps=False, options=AT_ONCE)

    def keep(self) -> None:
        """Keep the present content for after the fork, if the fork keeps any."""

    def fork(self) -> None:
        self.server.command("FLUSHALL")

    def stop(self) -> None:
        self.server.stop()


class StartedAnew(Flushed):
    """Kill Redis, which has written no file."""

    rounds = 10

    def fork(self) -> None:
        self.server.kill()
        self.server.start()


class OlderDump(Flushed):
    """Kill Redis, and start it from an older file."""

    rounds = 10

    def keep(self) -> None:
        self._dump = self.server.dump()

    def fork(self) -> None:
        self.server.kill()
        self.server.start_from(self._dump)


class Replica(Flushed):
    """Let a replica that was cut off take over under the same address."""

    rounds = 10

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self._number = 0

    def keep(self) -> None:
        self._number += 1
        self._replica = Redis(self._folder / f"replica{self._number}", keeps=False, options=AT_ONCE)
        self._replica.start()
        self._replica.command("REPLICAOF", "127.0.0.1", str(self.server.port))
        wait_until(lambda: self._replica.facts("replication").get("master_link_status") == "up", 20)
        assert self._replica.command("REPLICAOF", "NO", "ONE").startswith(b"+OK")

    def fork(self) -> None:
        port = self.server.port
        self.server.kill()
        self._replica.move_to(port)
        self.server = self._replica

    def stop(self) -> None:
        super().stop()
        self._replica.stop()


@pytest.fixture(params=[Flushed, StartedAnew, OlderDump, Replica], ids=lambda kind: kind.__name__)
def branch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flushed]:
    branch = request.param(tmp_path / "redis")
    branch.server.start()
    yield branch
    branch.stop()


@pytest.fixture(params=[True, False], ids=["clock stands still", "clock runs"])
def any_clock(request: pytest.FixtureRequest) -> Clock | None:
    return FakeClock() if request.param else None


@pytest.mark.timeout(240)
def test_a_listener_on_a_lost_branch_is_told_so_however_much_the_other_branch_grows(
    branch: Flushed, any_clock: Clock | None, open_redis: Open
) -> None:
    for number in range(branch.rounds):
        broker = open_redis(branch.server.url, any_clock)
        follower = open_redis(branch.server.url, any_clock)
        kept = broker.append([draft(n) for n in range(3)])
        branch.keep()
        lost = broker.append([draft(n) for n in range(3)]) + broker.append([draft()])
        lost += broker.append([draft(key="k")])
        assert follower.read(lost[-2]).events[-1].position == lost[-1]
        follower.wait(0.001)
        branch.fork()
        other = open_redis(branch.server.url, any_clock)
        for grown in range(3 if branch.rounds > 10 else 8):
            for position in lost:
                assert other.read(position).passed, (number, grown)
                assert other.verdict(position, ["c"]).reason in ("lost", "forked"), (number, grown)
            if other.verdict(kept[-1], ["c"]).reason is None:  # the branch begins after what was kept
                assert not other.read(kept[-1]).passed
            else:
                assert type(branch) in (Flushed, StartedAnew)
            if grown in (0, 2):
                assert follow(follower, lost[-1], 0.001) == ([], True)
            other.append([draft(f"other {grown}")] * (number % 3 + 1))
        for it in (broker, follower, other):
            it.close()


def follow(broker: RedisBroker, after: Position, seconds: float) -> tuple[list[Event], bool]:
    """Wait, then read, as a pump does, and try again when the log can't be read."""
    deadline = time.monotonic() + 10
    while True:
        try:
            broker.wait(seconds)
            batch = broker.read(after)
            return batch.events if not batch.passed else [], batch.passed
        except BrokerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@pytest.mark.timeout(240)
def test_a_reader_that_waits_while_the_log_is_replaced_is_told_so(
    branch: Flushed, any_clock: Clock | None, open_redis: Open
) -> None:
    for number in range(10):
        broker = open_redis(branch.server.url, any_clock)
        follower = open_redis(branch.server.url, any_clock)
        broker.append([draft()])
        branch.keep()
        position = broker.append([draft(n) for n in range(number % 3 + 1)])[-1]
        assert follower.read(position)[:2] == ([], False)
        told = []

        def wait(follower: RedisBroker = follower, position: Position = position, told: list[object] = told) -> None:
            told.append(follow(follower, position, 0.3))

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.02)
        branch.fork()
        other = open_redis(branch.server.url, any_clock)
        for n in range(number):
            other.append([draft(f"other {n}")])
        waiting.join(20)
        assert told == [([], True)]
        for it in (broker, follower, other):
            it.close()


def test_a_log_that_is_flushed_all_the_time_is_begun_anew_each_time(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url)
    is_over = threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            server.command("FLUSHALL")
            time.sleep(0.001)

    flushing = threading.Thread(target=flush)
    flushing.start()
    try:
        for n in range(300):
            try:
                (position,) = broker.append([draft(n)])
                broker.read(position)
                assert broker.verdict(position, ["c"]).reason in (None, "lost", "forked")
                broker.maintain()
            except BrokerUnavailableError as error:
                assert "again and again" in str(error)
    finally:
        is_over.set()
        flushing.join()


def test_a_log_that_went_back_is_not_dropped_beyond_its_head(tmp_path: Path, open_redis: Open) -> None:
    clock = FakeClock()
    with serve_redis(tmp_path / "redis", keeps=False) as server:
        broker = open_redis(server.url, clock)
        broker.append([draft("kept")])
        dump = server.dump()
        clock.advance(1)
        broker.append([draft("lost")])
        broker.maintain()
        server.kill()
        server.start_from(dump)
        clock.advance(70)  # what this worker saw a minute ago lies beyond the head
        reconnect(broker)
        broker.maintain()
        assert broker.read(broker.head())[:2] == ([], False)
        (position,) = broker.append([draft("new")])
        assert broker.read(position)[:2] == ([], False)


def test_a_reader_below_what_is_known_of_the_log_is_told_so(tmp_path: Path, open_redis: Open) -> None:
    clock = FakeClock()
    with serve_redis(tmp_path / "redis", keeps=False) as server:
        broker = open_redis(server.url, clock, history_seconds=1)
        broker.append([draft("kept")])
        dump = server.dump()
        (lost,) = broker.append([draft("lost")])
        server.kill()
        server.start_from(dump)
        broker = open_redis(server.url, clock, history_seconds=1)
        for n in range(10):
            clock.advance(3)
            broker.append([draft(n)])
            broker.maintain()
        assert broker.read(lost).passed
