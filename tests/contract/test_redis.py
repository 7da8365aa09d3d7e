"""The log in Redis: groups, and no false alarm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.errors import BrokerError
from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import calls_of, draft, read_all, reconnect, together
from tests.tools.redis_server import Redis, serve_redis

Open = Callable[..., RedisBroker]


@pytest.fixture
def server(redis: Redis) -> Redis:
    redis.command("FLUSHALL")
    return redis


# No false alarm


def test_no_gap_is_told_while_nothing_is_lost(tmp_path: Path, open_redis: Open) -> None:
    with serve_redis(tmp_path / "redis", options={"appendfsync": "always", "hz": "500"}) as server:
        broker, follower = open_redis(server.url, history_events=10_000), open_redis(server.url)
        start = position = follower.head()
        stored: list[Position] = []
        seen: list[Event] = []

        def see() -> None:
            nonlocal position
            while True:
                try:
                    batch = follower.read(position)
                    verdict = follower.verdict(position, ["c0", "c1", "c2"])
                except BrokerError:  # its connection was cut
                    continue
                assert not batch.passed
                assert verdict.reason is None
                if not batch.events:
                    return
                seen.extend(batch.events)
                position = seen[-1].position

        def cut() -> None:
            server.command("CLIENT", "KILL", "TYPE", "normal")

        def restart() -> None:
            server.kill()
            server.start()

        def freeze() -> None:
            server.freeze()
            time.sleep(0.1)
            server.thaw()

        disturbances = [
            lambda: server.command("SCRIPT", "FLUSH"),
            cut,
            broker.maintain,
            restart,
            freeze,
        ]
        for number in range(1500):
            if number % 50 == 25:
                disturb = disturbances[number // 50 % len(disturbances)]
                disturb()
                see()
                if disturb in (cut, restart):
                    reconnect(broker)
            stored += broker.append([draft(n, f"c{n % 3}") for n in range(number % 5 + 1)])
            if number % 7 == 0:
                follower.wait(0.001)
            if number % 3 == 0:
                see()
        see()
        assert [event.position for event in seen] == stored
        assert [event.position for event in read_all(open_redis(server.url), start)] == stored
        assert [event.position for event in read_all(broker, stored[100])] == stored[101:]


# Groups


@pytest.mark.skipif(not is_patched(), reason="groups need a loop")
def test_what_comes_while_a_group_is_under_way_goes_together(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url)
    broker.append([draft()])
    start = broker.head()
    before = calls_of(server)
    answers: dict[int, list[Position]] = {}

    def publish(number: int) -> None:
        answers[number] = [
            position
            for n in range(5)
            for position in broker.append([draft(f"{number} {n} {m}", key=f"{number} {n} {m}") for m in range(2)])
        ]

    together(100, publish)
    assert calls_of(server) - before < 50  # of 500
    events = read_all(broker, start)
    of_position = {event.position.key: event for event in events}
    assert len(of_position) == len(events) == 1000
    for number, positions in answers.items():
        assert [of_position[p.key].data for p in positions] == [f'"{number} {n} {m}"' for n in range(5) for m in (0, 1)]
        assert positions == sorted(positions)


def test_two_with_the_same_key_at_once_are_one_event(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url)
    start = broker.head()
    answers: list[Position] = []

    def publish(number: int) -> None:
        answers.extend(broker.append([draft(number), draft(number, key="k"), draft(number, key=f"k{number % 5}")]))

    together(30, publish)
    assert len(set(answers)) == 30 + 1 + 5
    assert sorted(set(answers)) == [event.position for event in read_all(broker, start)]


@pytest.mark.parametrize("size", [1, 100, 20_000])
def test_a_large_batch_is_contiguous_and_read_on_from_anywhere_in_it(
    server: Redis, open_redis: Open, size: int
) -> None:
    count = 5000 if size < 1000 else 600
    broker = open_redis(server.url)
    start = broker.head()
    positions = broker.append([draft(f"{n:05}" + "x" * size, f"c{n % 7}") for n in range(count)])
    assert [p.key for p in positions] == list(range(positions[0].key, positions[0].key + count))
    assert [event.position for event in read_all(broker, start)] == positions
    for n in (0, 1, 499, 998, 999, 1000, 1001, 2500, 3999, 4998, count - 2):
        if n < count - 1:
            batch = broker.read(positions[n])
            assert not batch.passed
            assert [event.position for event in batch.events] == positions[n + 1 : n + 1 + len(batch.events)]
            assert batch.events[0].data.startswith(f'"{n + 1:05}')
    assert broker.verdict(positions[count // 2], ["c1"]).reason is None
    middle = positions[count // 2]
    assert [event.position for event in read_all(open_redis(server.url), middle)] == positions[count // 2 + 1 :]


def test_a_counter_that_runs_over_goes_on_in_the_next_millisecond(
    server: Redis, open_redis: Open, clock: FakeClock
) -> None:
    broker = open_redis(server.url, clock)
    (first,) = broker.append([draft()])
    server.command("HSET", "{simulcast}:log", "n", str((1 << 20) - 3))
    edge = broker.head()
    positions = broker.append([draft(n) for n in range(5)])
    positions += broker.append([draft(n) for n in range(5, 7)])
    assert [p.key for p in positions] == list(range(edge.key + 1, edge.key + 8))
    assert {p.milliseconds for p in positions} == {first.milliseconds, first.milliseconds + 1}
    for n, position in enumerate(positions):
        assert [event.data for event in broker.read(position).events] == [f'"{m}"' for m in range(n + 1, 7)]
        assert broker.verdict(position, ["c"]).reason is None
    assert [event.position for event in broker.page(["c"], edge, broker.head(), 1 << 20).events] == positions


# A log of an older version


def test_a_log_without_the_names_of_its_channels_gets_them_by_maintenance(
    server: Redis, open_redis: Open, clock: FakeClock
) -> None:
    broker = open_redis(server.url, clock)
    broker.append([draft(1, "a"), draft(2, "b")])
    server.command("DEL", "{simulcast}:names")
    assert broker.channels("", 9) == []
    broker.maintain()
    clock.advance(11)
    broker.maintain()
    assert [summary.channel for summary in broker.channels("", 9)] == ["a", "b"]
    server.command("ZADD", "{simulcast}:names", "0", "emptied")
    assert [summary.channel for summary in broker.channels("", 9)] == ["a", "b"]
