"""P16: a run ends exactly once, and its watchers are told, whatever happens to its worker, to the log or to them."""

from __future__ import annotations

import os
import signal
import threading
import time

from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import Fleet
from tests.tools.runs import cancel, numbers, start, told, watch
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import Store, on

ENDLESS = 1_000_000
SLACK = 5  # for a machine that has other things to do
GRACEFUL_SECONDS = 7
OUTAGE_SECONDS = 5

# Two workers on each of two ports: those of the first are struck, and the others watch. A frozen worker is not killed.
workers = fleet_fixture(
    on=("sqlite", "redis"),
    app="tests.apps.plain:app",
    workers=2,
    WORKER_TIMEOUT=90,
    GRACEFUL_TIMEOUT=GRACEFUL_SECONDS,
)


def has_stopped(server: Server, pid: int, id: str) -> bool:
    """Tell whether the producer of a run has stopped; the server has two workers, and one of them answers."""
    facts = server.get_json("/inspect")
    return facts["pid"] == pid and f"stopped {id}" in facts["heard"]


def test_p16_a_run_that_is_cancelled_at_another_worker_stops_within_a_second(workers: Fleet) -> None:
    id, pid = start(workers.one, ENDLESS, 0.01)
    with watch(workers.two, id, timeout=30) as watcher:
        watcher.take(3, "progress")
        assert cancel(workers.two, id)
        cancelled = time.monotonic()
        wait_until(lambda: has_stopped(workers.one, pid, id), SLACK * 1, "the producer to stop")
        print(f"\nstopped {time.monotonic() - cancelled:.2f} s after the cancel")
        *before, last = told(watcher)
    assert last == ("cancelled", {})
    assert {type for type, _ in before} <= {"progress"}
    assert not cancel(workers.one, id)


def test_p16_a_client_that_reconnects_to_another_worker_gets_exactly_the_rest(workers: Fleet) -> None:
    id, _ = start(workers.one, 200, 0.005)
    got = []
    position = None
    for server in (workers.one, workers.two, workers.one, workers.two):
        with watch(server, id, last_event_id=position) as watcher:
            got += [("progress", block.json) for block in watcher.take(40, "progress")]
            position = watcher.last_id
    with watch(workers.two, id, last_event_id=position) as watcher:
        got += told(watcher)
    assert got == [*numbers(200), ("complete", 200)]


def test_p16_a_reload_lets_a_run_end_in_time_and_stops_one_that_does_not(workers: Fleet) -> None:
    short, _ = start(workers.one, 50, 0.01)
    endless, _ = start(workers.one, ENDLESS, 0.01)
    with watch(workers.two, short, timeout=30) as one, watch(workers.two, endless, timeout=30) as other:
        one.until("progress")
        other.until("progress")
        before = workers.one.workers
        workers.one.signal(signal.SIGHUP)
        assert told(one) == [*numbers(50)[1:], ("complete", 50)]
        *_, (type, data) = told(other)
        assert (type, data["code"]) == ("failed", "worker_stopped")
    wait_until(lambda: len(workers.one.workers) == 2 and not {*workers.one.workers} & {*before}, 20, "new workers")


def test_p16_runs_of_a_killed_and_of_a_frozen_worker_end_and_nothing_follows(workers: Fleet) -> None:
    started = dict(reversed(start(workers.one, ENDLESS, 0.01)) for _ in range(2))
    while len(started) < 2:  # one for each worker
        id, pid = start(workers.one, ENDLESS, 0.01)
        started[pid] = id
    (killed, frozen) = started
    with watch(workers.two, started[killed], timeout=60) as one, watch(workers.two, started[frozen], timeout=60) as two:
        one.take(3, "progress")
        two.take(3, "progress")
        os.kill(killed, signal.SIGKILL)
        os.kill(frozen, signal.SIGSTOP)
        struck = time.monotonic()
        try:
            endings = [told(client)[-1] for client in (one, two)]
            seconds = time.monotonic() - struck
            print(f"\nended {seconds:.1f} s after the kill")
        finally:
            os.kill(frozen, signal.SIGCONT)
    assert {(type, data["code"]) for type, data in endings} == {("failed", "worker_lost")}
    assert seconds < SLACK * 15
    wait_until(lambda: has_stopped(workers.one, frozen, started[frozen]), 20, "the producer that woke up to stop")
    with watch(workers.two, started[frozen]) as late:
        *before, last = told(late)
    assert last == endings[1], "nothing follows"
    assert before == numbers(len(before))


@on("redis")
def test_p16_a_run_outlives_an_outage_of_redis_that_is_longer_than_its_lease(store: Store) -> None:
    assert store.redis is not None
    tuned = {"app.flask_simulcast.hub.runner._LEASE_SECONDS": 2}
    with store.serve(app="tests.apps.plain:app", constants=tuned) as server:
        id, _ = start(server, 300, 0.01)
        with watch(server, id, timeout=30) as watcher:
            watcher.take(50, "progress")
            store.redis.kill()
            threading.Event().wait(OUTAGE_SECONDS)
            store.redis.start()
            assert told(watcher) == [*numbers(300)[50:], ("complete", 300)]
