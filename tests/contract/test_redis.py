"""What the Redis log promises beside the contract: other branches, groups, and what is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.errors import BrokerError, BrokerUnavailableError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.presence import Place
from app.flask_simulcast.testing import FakeClock
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import wait_until

Open = Callable[..., RedisBroker]

BEFORE_ALL = Position(0, 0)


def draft(data: object = 1, channel: str = "c", key: str | None = None) -> Draft:
    return Draft(channel, "message", f'"{data}"', key)


def read_all(broker: RedisBroker, after: Position = BEFORE_ALL) -> list[Event]:
    events: list[Event] = []
    while batch := broker.read(after).events:
        events += batch
        after = batch[-1].position
    return events


def together(count: int, function: Callable[[int], None]) -> None:
    """Run it so many times at once, in greenlets or threads."""
    if is_patched():
        gevent.joinall([gevent.spawn(function, number) for number in range(count)], raise_error=True, timeout=60)
        return
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@pytest.fixture
def server(redis: Redis) -> Redis:
    redis.command("FLUSHALL")
    return redis


# Another branch


class Flushed:
    """Somebody says FLUSHALL."""

    rounds = 100

    def __init__(self, folder: Path) -> None:
        self.server = Redis(folder, keeps=False)

    def keep(self) -> None:
        """What is there now will be there after the fork, if anything is."""

    def fork(self) -> None:
        self.server.command("FLUSHALL")

    def stop(self) -> None:
        self.server.stop()


class StartedAnew(Flushed):
    """It is killed, and wrote no file."""

    rounds = 10

    def fork(self) -> None:
        self.server.kill()
        self.server.start()


class OlderDump(Flushed):
    """It is killed, and starts from a file of before."""

    rounds = 10

    def keep(self) -> None:
        self._dump = self.server.dump()

    def fork(self) -> None:
        self.server.kill()
        self.server.start_from(self._dump)


class Replica(Flushed):
    """A replica that was cut off takes over under the same address."""

    rounds = 10

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self._number = 0

    def keep(self) -> None:
        self._number += 1
        options = {"replicaof": f"127.0.0.1 {self.server.port}", "repl-diskless-sync-delay": "0"}
        self._replica = Redis(self._folder / f"replica{self._number}", keeps=False, options=options)
        self._replica.start()
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
def test_whoever_is_on_a_lost_branch_is_told_so_however_much_the_other_one_grows(
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
    """What a pump does: wait, then read, and try again when the log can't be read."""
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
        assert follower.read(position) == ([], False)
        told = []

        def wait(follower: RedisBroker = follower, position: Position = position, told: list[object] = told) -> None:
            told.append(follow(follower, position, 0.9))

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
        assert broker.read(broker.head()) == ([], False)
        (position,) = broker.append([draft("new")])
        assert broker.read(position) == ([], False)


def reconnect(broker: RedisBroker) -> None:
    """Who is used within a moment after the server was killed learns only from its answer that there is none."""
    time.sleep(0.3)
    broker.head()


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


# No false alarm


def test_nobody_is_alarmed_while_nothing_is_lost(tmp_path: Path, open_redis: Open) -> None:
    with serve_redis(tmp_path / "redis", options={"appendfsync": "always"}) as server:
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

        def restart() -> None:
            server.kill()
            server.start()

        def freeze() -> None:
            server.freeze()
            time.sleep(0.1)
            server.thaw()

        disturbances = [
            lambda: server.command("SCRIPT", "FLUSH"),
            lambda: server.command("CLIENT", "KILL", "TYPE", "normal"),
            broker.maintain,
            restart,
            freeze,
        ]
        for number in range(1500):
            if number % 50 == 25:
                disturbances[number // 50 % len(disturbances)]()
                see()
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


def calls_of(server: Redis) -> int:
    facts = server.facts("commandstats")
    return sum(
        int(text.split("calls=")[1].split(",")[0]) for name, text in facts.items() if name.startswith("cmdstat_eval")
    )


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


# What is left behind


def keys_of(server: Redis) -> set[str]:
    words = server.command("KEYS", "*").decode().split("\r\n")
    return set(words[2::2])


def ttl_of(server: Redis, name: str) -> int:
    return int(server.command("PTTL", name).decode().strip(":\r\n"))


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
    broker = open_redis(server.url, clock, history_seconds=60)
    for worker in ("v", "w"):
        places = [
            Place(f"{worker}{n}", f"user {n}", f"user {n}", ("a", f"b{n}"), ("a", f"b{n}"), "{}", "", "json", n)
            for n in range(150)
        ]
        broker.check_in(CheckIn(worker, places, [], renews=False, lease_seconds=8, grace_seconds=3))
    for n in range(300):
        broker.append([draft(n, f"c{n}"), draft(n, f"user:{n}")])
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


# How long the others wait


def busy_ms(server: Redis) -> float:
    """For how long it has worked; unlike the time that passes, the same on a machine that has more to do."""
    facts = server.facts("cpu")
    return 1000 * (float(facts["used_cpu_user_main_thread"]) + float(facts["used_cpu_sys_main_thread"]))


def cost_ms(server: Redis, function: Callable[[], object], times: int = 3) -> float:
    """Of one script, the least of several."""
    costs = []
    for _ in range(times):
        before, calls = busy_ms(server), calls_of(server)
        function()
        costs.append((busy_ms(server) - before) / (calls_of(server) - calls))
    return min(costs)


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
def test_places_by_the_thousand_hold_up_nobody_for_long(server: Redis, open_redis: Open, clock: FakeClock) -> None:
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
