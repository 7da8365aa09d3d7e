"""Keys that are left in Redis, and how long scripts delay other commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.presence import Place
from app.flask_simulcast.run_state import RunAppend
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import BEFORE_ALL, calls_of, draft
from tests.tools.redis_server import Redis
from tests.tools.serving import wait_until

Open = Callable[..., RedisBroker]


@pytest.fixture
def server(redis: Redis) -> Redis:
    redis.command("FLUSHALL")
    return redis


def keys_of(server: Redis) -> set[str]:
    words = server.command("KEYS", "*").decode().split("\r\n")
    return set(words[2::2])


def ttl_of(server: Redis, name: str) -> int:
    return int(server.command("PTTL", name).decode().strip(":\r\n"))


# What is left behind


def test_what_is_for_a_while_ends_in_redis_too(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url)
    broker.append([draft(key="k")])
    broker.put_text("t", "text", 20)
    broker.hold_lease("l", "me", 5)
    broker.revoke("user:ann", 1, 30, draft(channel="simulcast:control"))
    broker.maintain()
    assert 290_000 < ttl_of(server, "{simulcast}:known:k") <= 300_000
    assert 19_000 < ttl_of(server, "{simulcast}:kept:t") <= 20_000
    assert 29_000 < ttl_of(server, "{simulcast}:revoked:user:ann") <= 30_000
    for name in ("l", "simulcast:upkeep"):
        assert 50_000 < ttl_of(server, f"{{simulcast}}:lease:{name}") <= 60_000


def test_a_text_a_lease_and_a_key_end_by_the_servers_own_clock(server: Redis, open_redis: Open) -> None:
    broker = open_redis(server.url)
    broker.put_text("t", "text", 0.2)
    assert broker.hold_lease("l", "me", 0.2)
    assert not broker.hold_lease("l", "you", 0.2)
    assert broker.get_text("t") == "text"
    wait_until(lambda: broker.get_text("t") is None, 2)
    wait_until(lambda: broker.hold_lease("l", "you", 0.2), 2)
    wait_until(lambda: ttl_of(server, "{simulcast}:kept:t") == -2, 2)


def test_nothing_is_left_of_what_is_over(server: Redis, open_redis: Open, clock: FakeClock) -> None:
    broker = open_redis(server.url, clock, history_seconds=60, history_channels={"run:": [9, 60]})
    for worker in ("v", "w"):
        places = [
            Place(f"{worker}{n}", f"user {n}", f"user {n}", ("a", f"b{n}"), ("a", f"b{n}"), "{}", "", "json", n)
            for n in range(150)
        ]
        broker.check_in(CheckIn(worker, places, [], renews=False, lease_seconds=8, grace_seconds=3))
    for n in range(300):
        broker.append([draft(n, f"c{n}"), draft(n, f"user:{n}")])
    for n in range(20):
        broker.begin_run(f"r{n}", f"user {n}", "{}", "v", 10)
    broker.append_to_runs([RunAppend(f"r{n}", [draft(n, f"run:r{n}")], ending="complete") for n in range(10)])
    assert len(keys_of(server)) > 1000
    broker.check_out("v", grace_seconds=3)
    for _ in range(30):
        clock.advance(11)
        broker.maintain()
    broker.append([draft("the last", "last")])
    for _ in range(7):
        clock.advance(11)
        broker.maintain()
    keys = keys_of(server)
    assert all(key.startswith("{simulcast}:") for key in keys)
    assert {key.removeprefix("{simulcast}:") for key in keys} <= {
        "log", "tail", "tags", "oldest", "grown", "c:last", "marks", "lease:simulcast:upkeep",
    }  # fmt: skip
    assert int(server.command("XLEN", "{simulcast}:tags").decode().strip(":\r\n")) < 5
    assert int(server.command("HLEN", "{simulcast}:marks").decode().strip(":\r\n")) < 5
    assert int(server.command("SCARD", "{simulcast}:grown").decode().strip(":\r\n")) <= 1


def busy_ms(server: Redis) -> float:
    """Return the CPU time of Redis, which does not depend on the other load of the machine."""
    facts = server.facts("cpu")
    return 1000 * (float(facts["used_cpu_user_main_thread"]) + float(facts["used_cpu_sys_main_thread"]))


def cost_ms(server: Redis, function: Callable[[], object], times: int = 3) -> float:
    """Return the lowest cost of several runs of a script."""
    costs = []
    for _ in range(times):
        before, calls = busy_ms(server), calls_of(server)
        function()
        costs.append((busy_ms(server) - before) / (calls_of(server) - calls))
    return min(costs)


# How long the others wait


@pytest.mark.alone
@pytest.mark.parametrize(("bytes_each", "count"), [(100, 40_000), (64 << 10, 1600)])
def test_no_script_holds_up_the_others_for_long(
    server: Redis, open_redis: Open, clock: FakeClock, bytes_each: int, count: int
) -> None:
    broker = open_redis(server.url, clock, history_events=10)
    names = [f"c{n}" for n in range(10_000 if bytes_each == 100 else 128)]
    data = "x" * (bytes_each - 2)
    each = 500 if bytes_each == 100 else 16
    for first in range(0, count, each):
        clock.advance(0.01)
        broker.append([draft(data, names[n % len(names)]) for n in range(first, first + each)])
    channels = names[:32]
    head = broker.head()
    costs = {
        "append": cost_ms(server, lambda: broker.append([draft(data, names[n]) for n in range(each)])),
        "page": cost_ms(server, lambda: broker.page(channels, BEFORE_ALL, head, 64 << 10)),
        "newest": cost_ms(server, lambda: broker.newest(channels, 1000)),
        "newest of one": cost_ms(server, lambda: broker.newest(channels[:1], 1000)),
        "verdict": cost_ms(server, lambda: broker.verdict(head, channels)),
        "read": cost_ms(server, lambda: broker.read(BEFORE_ALL)),
    }
    for _ in range(3):
        clock.advance(6)
        broker.append([draft()])
        costs["trim"] = max(costs.get("trim", 0), cost_ms(server, broker.maintain, 1))
    small = open_redis(server.url, clock, history_bytes=1 << 20)
    clock.advance(6)
    small.maintain()
    clock.advance(11)
    costs["room"] = cost_ms(server, small.maintain, 1)
    clock.advance(7200)
    costs["age"] = cost_ms(server, broker.maintain, 1)
    assert {name: cost for name, cost in costs.items() if cost > 20} == {}


@pytest.mark.alone
def test_places_by_the_thousand_delay_other_commands_only_briefly(
    server: Redis, open_redis: Open, clock: FakeClock
) -> None:
    broker = open_redis(server.url, clock)
    all_channels = tuple(f"c{n}" for n in range(32))
    costs = {}
    for first in range(0, 10_000, 250):
        worker = f"w{first // 2500}"
        channels = all_channels if first == 0 else all_channels[:3]
        places = [
            Place(f"{n:05}", f"user {n % 3000}", f"user {n % 3000}", channels, channels[:1], "{}", "", "json", 5)
            for n in range(first, first + 250)
        ]
        costs[f"check in {first}"] = cost_ms(
            server,
            lambda worker=worker, places=places, first=first: broker.check_in(
                CheckIn(worker, places, [], renews=first % 2500 > 0, lease_seconds=8, grace_seconds=3)
            ),
            1,
        )
    costs["places"] = cost_ms(server, lambda: broker.places("", 1000))
    costs["of a channel and user"] = cost_ms(server, lambda: broker.places("", 1000, channel="c31", user="user 7"))
    costs["members"] = cost_ms(server, lambda: broker.members("c0", "", 500))
    assert [len(broker.places("", 10_000)), len(broker.places("", 10_000, channel="c31"))] == [10_000, 250]
    broker.check_out("w0", grace_seconds=3)
    clock.advance(9)
    costs["places of the dead"] = cost_ms(server, lambda: broker.places("", 1000))
    assert broker.places("", 1000) == []
    costs["sweep"] = cost_ms(server, broker.maintain, 1)
    for _ in range(5):
        broker.maintain()
    assert broker.members("c0", "", 10) == []
    assert {name: round(cost) for name, cost in costs.items() if cost > 20} == {}
