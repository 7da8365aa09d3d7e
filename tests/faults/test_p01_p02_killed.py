"""P1 and P2: an acknowledged event is stored, and every listener gets it once and in the same order, whichever process dies."""

from __future__ import annotations

import random
import time

from tests.faults import report
from tests.faults.checker import History, judge
from tests.faults.generator import Listeners, Publisher
from tests.faults.nemesis import KillMaster, KillRedis, KillWorker, Nemesis, Service
from tests.faults.sizes import SIZES
from tests.tools.serving import wait_until
from tests.tools.tiers import Store, on

LISTENERS = 3
PUBLISHERS = 4
CHANNEL = ("flow",)


class Run:
    """Publishers and listeners of one channel, and a nemesis."""

    def __init__(self, name: str, store: Store, port: int, events: int) -> None:
        self.history = History()
        self._name = name
        self._store = store
        self._began = time.monotonic()
        self._listeners = Listeners(self.history, port, [CHANNEL] * LISTENERS)
        total = events // PUBLISHERS
        self._publishers = [Publisher(self.history, [port], CHANNEL, total=total) for _ in range(PUBLISHERS)]
        self._events = total * PUBLISHERS

    def progress(self) -> float:
        """Return the progress of the run, from 0 to 1."""
        return sum(publisher.tried for publisher in self._publishers) / self._events

    def through(self, nemesis: Nemesis, times: int) -> None:
        """Publish everything while the nemesis strikes, and judge."""
        with self._listeners:
            for publisher in self._publishers:
                publisher.start()
            nemesis.run(times, self.progress)
            wait_until(lambda: self.progress() == 1, SIZES.seconds, "all to be published")
            self._listeners.finish(60)
        verdict = judge(self.history)
        done = f"{times} × {type(nemesis).__name__}"
        report.note(
            self._name, self._store.tier, self.history, verdict, done=done, seconds=time.monotonic() - self._began
        )
        assert not verdict.faults, (verdict, nemesis.log)
        assert not verdict.told, "history was long enough for all of it"
        assert len(self.history.attempts) == self._events

    @property
    def connects(self) -> int:
        """Return the connects of all listeners together."""
        return sum(chain.connects for chain in self.history.chains)


@on("sqlite", "redis")
def test_p1_p2_nothing_is_lost_doubled_or_disordered_while_workers_are_killed(store: Store) -> None:
    with store.serve(history_events=2 * SIZES.events) as server:
        run = Run("P1, P2: workers killed", store, server.port, SIZES.events)
        run.through(KillWorker(random.Random(7), server), SIZES.kills)
    assert run.connects > LISTENERS


@on("sqlite", "redis")
def test_p1_nothing_is_lost_while_the_whole_server_is_killed(store: Store) -> None:
    events = SIZES.events // 4
    with Service(store.folder / "server", broker_url=store.url, workers=2, history_events=2 * events) as service:
        run = Run("P1, P2: master killed", store, service.port, events)
        run.through(KillMaster(random.Random(8), service), SIZES.master_kills)
    assert run.connects >= LISTENERS * (1 + SIZES.master_kills)


@on("redis")
def test_p1_nothing_is_lost_while_redis_is_killed_and_started_again(store: Store) -> None:
    """Redis has an append-only file here."""
    events = SIZES.events // 4
    assert store.redis is not None
    with store.serve(history_events=2 * events) as server:
        run = Run("P1, P2: Redis killed", store, server.port, events)
        run.through(KillRedis(random.Random(9), store.redis), SIZES.store_kills)
    assert run.connects == LISTENERS, "a stream outlives Redis"
