"""A Redis that is frozen, killed or full, and greenlets that are killed while they wait for it."""

from __future__ import annotations

import gc
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path

import gevent
import pytest
import redis

from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.errors import BrokerError, BrokerUnavailableError, PublishUncertainError
from app.flask_simulcast.event import Position
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.loop_thread import in_loop
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import BEFORE_ALL, draft, read_all, reconnect, together
from tests.tools.living import living_greenlets
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import wait_until

Open = Callable[..., RedisBroker]


def needs_loop(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test with greenlets where there is a loop: in an unpatched process in the loop thread."""
    return wraps(test)(partial(in_loop, test))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with serve_redis(tmp_path / "redis", options={"appendfsync": "always"}) as server:
        yield server


def outcome_of(function: Callable[[], object]) -> tuple[str, float]:
    """Run a function; return its result or error, and the seconds that it took."""
    start = time.monotonic()
    try:
        function()
    except BrokerError as error:
        return type(error).__name__, time.monotonic() - start
    return "", time.monotonic() - start


def clients_of(server: Redis) -> int:
    return server.ask("CLIENT", "LIST").count(" cmd=") - 1


def sockets() -> int:
    links = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    return sum(link.startswith("socket:") for link in links)


def threads_or_greenlets() -> int:
    if not is_patched():
        return threading.active_count()
    return living_greenlets()


# Frozen


@pytest.mark.parametrize("is_connected", [True, False])
def test_two_hundred_who_append_to_a_frozen_redis_know_within_three_seconds(
    server: Redis, open_redis: Open, is_connected: bool
) -> None:
    broker = open_redis(server.url)
    start = open_redis(server.url).head()
    if is_connected:
        broker.append([draft("before")])
    before = threads_or_greenlets()
    outcomes: dict[int, tuple[str, float]] = {}
    server.freeze()

    def publish(number: int) -> None:
        outcomes[number] = outcome_of(lambda: broker.append([draft(number, key=f"k{number}")]))

    together(200, publish)
    assert len(outcomes) == 200
    assert max(seconds for _, seconds in outcomes.values()) < 3
    names = [name for name, _ in outcomes.values()]
    assert names.count(PublishUncertainError.__name__) == (1 if is_connected else 0)
    assert names.count(BrokerUnavailableError.__name__) == 200 - names.count(PublishUncertainError.__name__)
    server.thaw()
    for number in range(200):
        broker.append([draft(number, key=f"k{number}")])
    stored = [event.data for event in read_all(broker, start)]
    assert len(stored) == len(set(stored)) == 200 + is_connected
    assert threads_or_greenlets() <= before
    wait_until(lambda: clients_of(server) <= 4, 5)


def test_reads_and_waits_at_a_frozen_redis_raise(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url, broker_seconds=0.5)
    position = broker.append([draft()])[0]
    broker.wait(0.01)
    asks: list[Callable[[], object]] = [
        lambda: broker.read(position),
        lambda: broker.read(BEFORE_ALL),
        lambda: broker.wait(0.25),
        broker.head,
        lambda: broker.page(["c"], position, position, 1),
        lambda: broker.verdict(position, ["c"]),
        lambda: broker.newest(["c"], 5),
        lambda: broker.get_text("t"),
        lambda: broker.places("", 5),
        broker.maintain,
    ]
    server.freeze()
    for _ in range(2):
        for number, ask in enumerate(asks):
            name, seconds = outcome_of(ask)
            assert (number, name) == (number, "BrokerUnavailableError")
            assert seconds < 2
    for change in (
        lambda: broker.put_text("t", "x", 5),
        lambda: broker.pop_text("t"),
        lambda: broker.hold_lease("l", "me", 5),
    ):
        assert outcome_of(change)[0] in ("BrokerUnavailableError", "PublishUncertainError")
    server.thaw()
    assert broker.read(position)[:2] == ([], False)
    for ask in asks:
        assert outcome_of(ask)[0] == ""


def test_fifty_who_read_from_a_frozen_redis_are_told_so_and_leave_nothing(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url, broker_seconds=0.5)
    position = broker.append([draft()])[0]
    outcomes: list[tuple[str, float]] = []
    server.freeze()
    together(50, lambda _: outcomes.append(outcome_of(lambda: broker.verdict(position, ["c"]))))
    server.thaw()
    assert {name for name, _ in outcomes} == {"BrokerUnavailableError"}
    assert max(seconds for _, seconds in outcomes) < 2.5
    together(50, lambda _: outcomes.append(outcome_of(lambda: broker.verdict(position, ["c"]))))
    assert {name for name, _ in outcomes[50:]} == {""}
    wait_until(lambda: clients_of(server) <= 16 + 3, 5)
    before = sockets()
    broker.close()
    assert sockets() < before
    wait_until(lambda: clients_of(server) <= 0, 5)


@pytest.mark.parametrize("seconds", [0.1, 0.2])
def test_a_quiet_log_is_no_outage_however_short_answers_are(server: Redis, open_redis: Open, seconds: float) -> None:
    broker = open_redis(server.url, broker_seconds=seconds)
    position = open_redis(server.url).head()
    outages = 0
    for _ in range(40):
        try:
            assert broker.read(position)[:2] == ([], False)
            broker.wait(0.25)
        except BrokerUnavailableError:
            outages += 1
    assert outages <= 2, "a busy machine may take so long now and then; with no time for Redis' tick, every fifth does"


# Killed


def test_what_was_acknowledged_outlives_a_killed_redis(server: Redis, open_redis: Open) -> None:
    start = open_redis(server.url).head()
    acknowledged: list[Position] = []
    for number in range(5):
        broker = open_redis(server.url)
        acknowledged += broker.append([draft(n) for n in range(number)])

        def kill() -> None:
            time.sleep(0.1)
            server.kill()

        killing = threading.Thread(target=kill)
        killing.start()
        with suppress(BrokerError):
            while True:
                acknowledged += broker.append([draft()])
        killing.join()
        assert outcome_of(lambda broker=broker: broker.append([draft()]))[0] == "BrokerUnavailableError"
        server.start()
        reconnect(broker)
        acknowledged += broker.append([draft()])
    stored = [event.position for event in read_all(open_redis(server.url), start)]
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 5  # those that were under way
    assert open_redis(server.url).verdict(acknowledged[0], ["c"]).reason is None


# Killed greenlets


# Of one that was killed while it connected; it is closed with that.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket object:pytest.PytestUnraisableExceptionWarning")
@needs_loop
def test_greenlets_killed_at_any_moment_leave_the_others_to_go_on(server: Redis, open_redis: Open) -> None:
    dice = random.Random(5)
    broker = open_redis(server.url, broker_seconds=10)  # it is the killing that is tried, not how busy the machine is
    start = broker.head()
    answers: dict[str, Position] = {}
    uncertain: set[str] = set()

    def publish(name: str) -> None:
        for n in range(4):
            text = f"{name} {n}"
            uncertain.add(text)
            try:
                (position,) = broker.append([draft(text, f"c{n}")])
            except PublishUncertainError:
                continue
            answers[text] = position
            uncertain.discard(text)

    def look(name: str) -> None:
        for n in range(4):
            broker.put_text(f"{name} {n}", f"{name} {n}", 60)
            assert broker.get_text(f"{name} {n}") == f"{name} {n}"

    for number in range(200):
        greenlets = [gevent.spawn(publish, f"{number} {n}") for n in range(20)]
        greenlets += [gevent.spawn(look, f"{number} {n}") for n in range(number % 40)]
        for _ in range(dice.randrange(6)):
            gevent.sleep(dice.random() * 0.002)
            gevent.killall(dice.sample(greenlets, 4), block=dice.random() < 0.5)
        gevent.joinall(greenlets, timeout=10, raise_error=True)
        assert all(greenlet.dead for greenlet in greenlets)
    assert broker.append([draft("after")])
    of_position = {event.position.key: event.data for event in read_all(broker, start)}
    for text, position in answers.items():
        assert of_position[position.key] == f'"{text}"'
    stored = list(of_position.values())
    assert len(stored) == len(set(stored))
    assert {text.strip('"') for text in stored} - {"after"} <= answers.keys() | uncertain
    assert clients_of(server) <= 16 + 3
    gc.collect()


# One that is killed while it connects leaves its socket to the garbage collector: redis-py knows it only afterwards.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket object:pytest.PytestUnraisableExceptionWarning")
@needs_loop
def test_a_reader_that_is_killed_while_it_waits_gets_no_other_answer_later(server: Redis, open_redis: Open) -> None:
    broker, writer = open_redis(server.url), open_redis(server.url)
    position = broker.head()
    for n in range(50):
        waiting = gevent.spawn(broker.wait, 0.5)
        gevent.sleep(0.001 * (n % 3))
        (stored,) = writer.append([draft(n)])
        waiting.kill()
        assert [event.position for event in broker.read(position).events] == [stored]
        position = stored


@needs_loop
def test_a_log_that_is_closed_while_it_connects_leaves_no_connection(
    server: Redis, open_redis: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, connect = open_redis(server.url), redis.Connection._connect
    begun, go = threading.Event(), threading.Event()

    def connect_late(connection: redis.Connection) -> socket.socket:
        begun.set()
        assert go.wait(10)
        return connect(connection)

    monkeypatch.setattr(redis.Connection, "_connect", connect_late)
    waiting = gevent.spawn(outcome_of, partial(broker.wait, 0.05))
    with gevent.Timeout(10):
        while not begun.is_set():
            gevent.sleep(0.001)
    broker.close()
    go.set()
    waiting.get(timeout=10)
    wait_until(lambda: clients_of(server) == 0, 10, "no connection")


# Full


def test_a_redis_that_is_full_stores_nothing_and_is_made_emptier(tmp_path: Path, open_redis: Open) -> None:
    clock = FakeClock()
    with serve_redis(tmp_path / "full", keeps=False, options={"maxmemory": "12mb"}) as server:
        broker = open_redis(server.url, clock, history_events=10)
        broker.maintain()
        stored = 0
        with pytest.raises(BrokerUnavailableError, match="memory"):
            while True:
                clock.advance(0.01)
                head = broker.append([draft("x" * 10_000, f"c{n}") for n in range(3)])[-1]
                stored += 3
        assert broker.head() == head
        start = Position(0, 0)
        assert len(read_all(broker, start)) == stored
        for channel in ("c0", "c1", "c2"):
            page = broker.page([channel], start, broker.head(), 64 << 20)
            assert len(page.events) == stored // 3
        # Another worker, that never had the lease, makes room.
        other = open_redis(server.url, clock, history_events=10)
        other.maintain()
        clock.advance(61)
        other.maintain()
        (position,) = other.append([draft("after")])
        assert position.key > head.key
        assert other.read(position)[:2] == ([], False)
        assert len(other.page(["c0"], start, other.head(), 64 << 20).events) == 10
