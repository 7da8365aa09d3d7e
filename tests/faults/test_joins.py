"""Joining a stream in full flow: no hole and no double, however one comes, from wherever.

The kill test can't show these faults: it has too few reconnects. Joining at the hub's position instead of
the audience's doubled events for half of all joiners; a `connected` with the hub's position lost some.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients import Crowd, SSEClient
from tests.faults.history import Chain, Publisher, Verdict, judge
from tests.serving import serve

JOINS = 500
AT_ONCE = 20
LIVE_EVENTS = 200
# Without them a pass is over before anybody can join during it, and the worst faults do not show.
CROWD = 600
RATE = 2000

Leg = Callable[[Chain, random.Random], None]


def run_joiners(count: int, join: Leg) -> list[Chain]:
    """So many chains, at most 20 at a time, each with a chance of its own."""

    def one(seed: int) -> Chain:
        chain = Chain()
        join(chain, random.Random(seed))
        return chain

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(count)))


def assert_whole(chains: list[Chain], at_least: int) -> None:
    """Each chain counts without a break from the first number that it saw to the last, and was told of no gap."""
    assert not [chain.gaps for chain in chains if chain.gaps]
    verdicts = [judge(numbers) for chain in chains for numbers in chain.seen.values()]
    broken = [verdict for verdict in verdicts if verdict != Verdict()]
    assert not broken, f"{len(broken)} of {len(verdicts)}: {sum(broken, Verdict())}"
    assert min(len(chain.numbers) for chain in chains) >= at_least


def more_of(chain: Chain, count: int) -> Callable[[Chain], bool]:
    """Whether a chain has so many more events than now."""
    enough = len(chain.numbers) + count
    return lambda chain: len(chain.numbers) >= enough


def follow_briefly(chain: Chain, port: int, path: str, chance: random.Random) -> None:
    """One connection that is cut: after a while, at any byte, or right after its first blocks, in the middle of a replay."""
    until = time.monotonic() + chance.uniform(0.005, 0.2)
    most = chance.choice([1, 1, 2, 3, 1 << 30])
    with SSEClient(port, path, last_event_id=chain.last_id) as client:
        client.socket.settimeout(0.2)
        chain.follow(client, lambda chain: chain.blocks >= most or time.monotonic() >= until)


@pytest.mark.parametrize("channels", [("flow",), ("flow", "quiet", "silent")], ids=["one channel", "three channels"])
def test_joiners_at_random_moments_miss_nothing_and_get_nothing_twice(
    tmp_path: Path, channels: tuple[str, ...]
) -> None:
    path = "/api/v1/stream?" + "&".join(f"channel={name}" for name in channels)
    with serve(tmp_path, workers=2, history_events=100_000) as server:
        rates = {"flow": RATE, "quiet": RATE // 10}
        publishers = [Publisher([server.port], name, rate=rates[name], batch=10) for name in channels if name in rates]
        for publisher in publishers:
            publisher.start()

        def join(chain: Chain, chance: random.Random) -> None:
            for _ in range(chance.randrange(3)):
                follow_briefly(chain, server.port, path, chance)
            chain.resume(server.port, path, more_of(chain, LIVE_EVENTS), time.monotonic() + 60)

        with Crowd(server.port, path, CROWD):
            chains = run_joiners(JOINS, join)
        for publisher in publishers:
            publisher.stop()
    assert_whole(chains, LIVE_EVENTS)


def test_readers_that_stall_and_come_back_miss_nothing(tmp_path: Path) -> None:
    path = "/api/v1/stream?channel=flow"
    with serve(tmp_path, workers=2, history_events=100_000, listener_queue_bytes=4096, page_bytes=4096) as server:
        publisher = Publisher([server.port], "flow", rate=RATE, batch=10, size=500)
        publisher.start()
        stop_at = threading.Event()

        def join(chain: Chain, chance: random.Random) -> None:
            with SSEClient(server.port, path, receive_buffer=4096) as client:
                for _ in range(3):
                    assert chain.follow(client, more_of(chain, chance.randrange(20, LIVE_EVENTS)))
                    stop_at.wait(chance.uniform(0.05, 0.4))  # reads nothing; its queue overflows
            chain.resume(server.port, path, more_of(chain, LIVE_EVENTS), time.monotonic() + 60)

        chains = run_joiners(100, join)
        publisher.stop()
    assert_whole(chains, LIVE_EVENTS)


def test_a_listener_from_a_faster_worker_gets_nothing_twice(tmp_path: Path) -> None:
    path = "/api/v1/stream?channel=flow"
    log = f"sqlite:///{tmp_path}/shared.db"
    with (
        serve(tmp_path / "fast", broker_url=log, history_events=100_000) as fast,
        serve(tmp_path / "slow", broker_url=log, history_events=100_000) as slow,
    ):
        publisher = Publisher([fast.port], "flow", rate=3 * RATE, batch=30)
        publisher.start()
        holding = threading.Event()
        stopping = threading.Thread(target=stop_and_go, args=(slow.workers[0], holding), daemon=True)
        # Somebody always listens to the slow one, so that it has an audience with frames pending.
        with SSEClient(slow.port, path) as resident:
            reading = threading.Thread(target=Chain().follow, args=(resident, lambda _: holding.is_set()), daemon=True)
            reading.start()
            stopping.start()

            def join(chain: Chain, chance: random.Random) -> None:
                for _ in range(3):
                    follow_briefly(chain, fast.port, path, chance)
                    chain.resume(slow.port, path, more_of(chain, 20), time.monotonic() + 60)
                chain.resume(slow.port, path, more_of(chain, LIVE_EVENTS), time.monotonic() + 60)

            chains = run_joiners(60, join)
            holding.set()
            stopping.join(10)
            reading.join(10)
        publisher.stop()
    assert_whole(chains, LIVE_EVENTS)


def stop_and_go(pid: int, is_over: threading.Event) -> None:
    """A worker that gets only part of the time. While it stands still the log grows by more than it reads in one batch
    (1024), so that it is still behind when it takes on who comes from the other."""
    while not is_over.is_set():
        os.kill(pid, signal.SIGSTOP)
        is_over.wait(0.5)
        os.kill(pid, signal.SIGCONT)
        is_over.wait(0.1)
