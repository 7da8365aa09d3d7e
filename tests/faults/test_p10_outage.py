"""P10: while the log is away streams stay open, publishing fails in time, and all goes on by itself when it is back."""

from __future__ import annotations

import fcntl
import random
import threading
import time
from pathlib import Path

from tests.faults import report
from tests.faults.checker import History, Outcome, judge
from tests.faults.generator import Listeners, Publisher
from tests.faults.nemesis import FreezeRedis, KillRedis, Nemesis
from tests.faults.sizes import SIZES
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import Store, on

STREAMS = 20
REFUSAL_SECONDS = 3.0
RECOVERY_SECONDS = 2.0
SLACK = 2.5  # for a machine that has other things to do
HEARTBEAT_SECONDS = 1


class HoldTurn(Nemesis):
    """Lets another process hold the write lock of an SQLite log for a while."""

    def __init__(self, chance: random.Random, log: Path, seconds: float) -> None:
        super().__init__(chance)
        self._lock = log.with_name(log.name + ".lock")
        self._seconds = seconds

    def strike(self) -> None:
        with self._lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.note("took the turn")
            threading.Event().wait(self._seconds)
        self.note("gave it back")


def through(name: str, store: Store, server: Server, nemesis: Nemesis, times: int) -> History:
    """Two publishers and some streams, while the nemesis strikes; then judge."""
    history, began = History(), time.monotonic()
    with Listeners(history, server.port, [("flow",)] * STREAMS) as listeners:
        keyed = Publisher(history, [server.port], rate=500, batch=10)
        once = Publisher(history, [server.port], rate=100, batch=1, is_keyed=False)
        for publisher in (keyed, once):
            publisher.start()
        recoveries: list[float] = []
        for _ in range(times):
            had = keyed.tried
            wait_until(lambda had=had: keyed.tried >= had + 500, 30, "events to flow")
            nemesis.strike()
            back, had = time.monotonic(), keyed.tried
            wait_until(lambda had=had: keyed.tried > had, 30, "publishing to go on")
            wait_until(lambda back=back: stored_after(history, back), 30, "publishing to go on")
            recoveries.append(time.monotonic() - back)
        for publisher in (keyed, once):
            publisher.stop()
        listeners.finish()
        for client in listeners.clients:
            assert client.chain.connects == 1, "a stream stays open"
            assert not client.endings
    verdict = judge(history)
    refusals = keyed.refusals + once.refusals
    slowest = max(refusal.seconds for refusal in refusals)
    done = f"{times} × {type(nemesis).__name__}; refused after {slowest:.1f} s, back after {max(recoveries):.1f} s"
    report.note(name, store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, (verdict, nemesis.log)
    assert not verdict.told
    assert max(recoveries) < SLACK * RECOVERY_SECONDS
    assert slowest < SLACK * REFUSAL_SECONDS
    assert {(refusal.status, refusal.retry_after is None) for refusal in refusals} == {(503, False)}
    assert once.refusals, "it was away for longer than a publish waits"
    return history


def stored_after(history: History, at: float) -> bool:
    """Tell whether an event that was published since then is stored."""
    return any(attempt.outcome is Outcome.STORED and attempt.at > at for attempt in reversed(history.attempts[-1000:]))


@on("redis")
def test_p10_streams_stay_open_while_redis_stands_still(store: Store) -> None:
    assert store.redis is not None
    with store.serve(history_events=100_000, heartbeat_seconds=HEARTBEAT_SECONDS) as server:
        idle = Listeners(History(), server.port, [("idle",)] * STREAMS)
        with idle:
            nemesis = FreezeRedis(random.Random(10), store.redis, SIZES.away_seconds)
            through("P10: Redis stands still", store, server, nemesis, SIZES.freezes)
            frozen, thawed = nemesis.log[0][0], nemesis.log[1][0]
            for client in idle.clients:
                heard = [at for at in client.heard if frozen + 2 * HEARTBEAT_SECONDS < at < thawed]
                assert len(heard) >= (SIZES.away_seconds - 2) / HEARTBEAT_SECONDS / 2, "an idle stream is kept awake"
                assert not client.chain.gaps
                assert not client.endings
        assert counter(server, "simulcast_broker_lost_total") > 0


@on("redis")
def test_p10_streams_stay_open_while_redis_is_killed_and_started_again(store: Store) -> None:
    assert store.redis is not None
    with store.serve(history_events=100_000) as server:
        nemesis = KillRedis(random.Random(11), store.redis, most_seconds=3)
        through("P10: Redis killed", store, server, nemesis, SIZES.store_kills)
        assert counter(server, "simulcast_broker_lost_total") > 0


@on("sqlite")
def test_p10_streams_stay_open_while_another_process_keeps_the_turn(store: Store) -> None:
    with store.serve(history_events=100_000, broker_seconds=2) as server:
        nemesis = HoldTurn(random.Random(12), store.folder / "log.db", 4)
        through("P10: turn not given back", store, server, nemesis, SIZES.freezes)


def counter(server: Server, name: str) -> float:
    """Of all workers."""
    _, _, text = server.request("GET", "/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.decode().splitlines() if line.startswith(name))
