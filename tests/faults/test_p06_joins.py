"""P6: joining a stream in full flow leaves no hole and doubles no event, wherever the listener comes from.

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

from tests.faults import report
from tests.faults.checker import History, judge
from tests.faults.generator import Follower, Publisher
from tests.faults.sizes import SIZES
from tests.tools.clients import Crowd, SSEClient
from tests.tools.serving import PAGE_BYTES
from tests.tools.tiers import Store, on

AT_ONCE = 20
LIVE_EVENTS = 200
# Without them a pass is over before a listener can join during it, and the worst faults do not show.
CROWD = 600
RATE = 2000
HISTORY = 1_000_000  # more than is published on a machine however slow

Leg = Callable[[Follower, random.Random], None]


class Joining:
    """Many listeners that join while events flow, each with its own dice."""

    def __init__(self, name: str, store: Store, *channels: str) -> None:
        self.history = History()
        self._name = name
        self._store = store
        self._channels = channels
        self._began = time.monotonic()

    def run(self, count: int, join: Leg) -> None:
        """Publish a number of events, a few at a time."""

        def one(seed: int) -> None:
            join(Follower(self.history, *self._channels), random.Random(seed))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, range(count)))

    def judge(self) -> None:
        """Check that each listener has everything from its first position to its last."""
        verdict = judge(self.history)
        done = f"{len(self.history.chains)} × joined"
        seconds = time.monotonic() - self._began
        report.note(self._name, self._store.tier, self.history, verdict, done=done, seconds=seconds)
        gaps = [gap for chain in self.history.chains for gap in chain.gaps]
        assert not verdict.faults, (verdict, gaps)
        assert not gaps
        assert min(len(chain.numbers) for chain in self.history.chains) >= LIVE_EVENTS


def more_of(follower: Follower, count: int) -> Callable[[], bool]:
    """Tell whether a listener has a number of events more than now."""
    enough = len(follower.chain.numbers) + count
    return lambda: len(follower.chain.numbers) >= enough


def follow_briefly(follower: Follower, port: int, chance: random.Random) -> None:
    """One connection that is cut: after a while, at any byte, or right after its first blocks, in the middle of a replay."""
    until = time.monotonic() + chance.uniform(0.005, 0.2)
    most = chance.choice([1, 1, 2, 3, 1 << 30])
    with SSEClient(port, follower.path, last_event_id=follower.last_id) as client:
        client.socket.settimeout(0.2)
        follower.follow(client, lambda: follower.blocks >= most or time.monotonic() >= until)


@on("memory", "sqlite", "redis")
def test_p6_joiners_at_random_moments_miss_nothing_and_get_nothing_twice(store: Store) -> None:
    join_at_random_moments(store, "flow")


@on("sqlite", "redis")
def test_p6_joiners_of_several_channels_miss_nothing_and_get_nothing_twice(store: Store) -> None:
    join_at_random_moments(store, "flow", "quiet", "silent")


def join_at_random_moments(store: Store, *channels: str) -> None:
    """Some of the channels have events."""
    joining = Joining("P6: joins in full flow", store, *channels)
    with store.serve(history_events=HISTORY) as server:
        rates = {"flow": RATE, "quiet": RATE // 10}
        publishers = [
            Publisher(joining.history, [server.port], [name], rate=rates[name], batch=10)
            for name in channels
            if name in rates
        ]
        for publisher in publishers:
            publisher.start()

        def join(follower: Follower, chance: random.Random) -> None:
            for _ in range(chance.randrange(3)):
                follow_briefly(follower, server.port, chance)
            follower.resume(server.port, more_of(follower, LIVE_EVENTS), time.monotonic() + 60)

        with Crowd(server.port, "/api/v1/stream?" + "&".join(f"channel={name}" for name in channels), CROWD):
            joining.run(SIZES.joins // len(channels), join)
        for publisher in publishers:
            publisher.stop()
    joining.judge()


@on("sqlite", "redis")
def test_p6_readers_that_stall_and_come_back_miss_nothing(store: Store) -> None:
    joining = Joining("P6, P7: readers that stall", store, "flow")
    with store.serve(history_events=HISTORY, queue_bytes=4096, constants={PAGE_BYTES: 4096}) as server:
        publisher = Publisher(joining.history, [server.port], rate=RATE, batch=10, size=500)
        publisher.start()
        never = threading.Event()

        def join(follower: Follower, chance: random.Random) -> None:
            with SSEClient(server.port, follower.path, receive_buffer=4096) as client:
                for _ in range(3):
                    assert follower.follow(client, more_of(follower, chance.randrange(20, LIVE_EVENTS)))
                    never.wait(chance.uniform(0.05, 0.4))  # reads nothing; its queue overflows
            follower.resume(server.port, more_of(follower, LIVE_EVENTS), time.monotonic() + 60)

        joining.run(SIZES.joins // 3, join)
        publisher.stop()
    joining.judge()


@on("sqlite", "redis")
def test_p6_a_listener_from_a_faster_worker_gets_nothing_twice(store: Store) -> None:
    joining = Joining("P6: from a faster worker", store, "flow")
    with (
        store.serve("fast", workers=1, history_events=HISTORY) as fast,
        store.serve("slow", workers=1, history_events=HISTORY) as slow,
    ):
        publisher = Publisher(joining.history, [fast.port], rate=1.2 * RATE, batch=30)
        publisher.start()
        holding = threading.Event()
        stopping = threading.Thread(target=stop_and_go, args=(slow.workers[0], holding), daemon=True)
        resident = Follower(History(), "flow")
        # A listener always listens to the slow one, so that it has an audience with frames pending.
        with SSEClient(slow.port, resident.path) as client:
            reading = threading.Thread(target=resident.follow, args=(client, holding.is_set), daemon=True)
            reading.start()
            stopping.start()

            def join(follower: Follower, chance: random.Random) -> None:
                for _ in range(3):
                    follow_briefly(follower, fast.port, chance)
                    follower.resume(slow.port, more_of(follower, 20), time.monotonic() + 60)
                follower.resume(slow.port, more_of(follower, LIVE_EVENTS), time.monotonic() + 60)

            joining.run(SIZES.slow_joins, join)
            holding.set()
            stopping.join(10)
            reading.join(10)
        publisher.stop()
    joining.judge()


def stop_and_go(pid: int, is_over: threading.Event) -> None:
    """A worker that gets only part of the time. While it stands still the log grows by more than it reads in one batch
    (1024), so that it is still behind when listeners come from the other worker."""
    while not is_over.is_set():
        os.kill(pid, signal.SIGSTOP)
        is_over.wait(0.5)
        os.kill(pid, signal.SIGCONT)
        is_over.wait(0.1)
