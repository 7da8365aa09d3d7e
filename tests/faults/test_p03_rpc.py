"""P1, P3, P4 and P9 by RPC: each event comes once and in order, whatever process dies, whatever byte a connection is cut at."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence

from tests.faults import report
from tests.faults.calls import Caller, ConnectCaller, GrpcCaller, GrpcPublisher, connection_to
from tests.faults.checker import History, judge
from tests.faults.generator import Publisher, finish
from tests.faults.nemesis import KillWorker, Reload
from tests.faults.sizes import SIZES
from tests.tools.relay import CuttingRelay
from tests.tools.rpc import Listens
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import Store, on

CHANNEL = "flow"
CALLERS = 3  # of each kind
RATE = 1_500  # events a second; grpcio drops what it has read and not yet told when its connection ends, so a burst is lost
MOST_BYTES = 64 << 10
BY_HTTP = 40  # events for each that is published by a call
EVENTS = SIZES.call_events
OPTIONS = {"rpc": "1", "http2": "1", "history_events": 2 * EVENTS}


@contextlib.contextmanager
def run(history: History, server: Server, through: Listens) -> Iterator[list[Publisher]]:
    """Calls that listen and publish, directly or through a relay; most events come by HTTP, which is faster. Ends when all
    have all."""
    with connection_to(through) as connection:
        callers: list[Caller] = [GrpcCaller(history, CHANNEL, connection) for _ in range(CALLERS)]
        callers += [ConnectCaller(history, CHANNEL, through) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        wait_until(lambda: all(caller.chain.start for caller in callers), 15, "all to listen")
        publishers = [
            Publisher(history, [server.port], [CHANNEL], rate=RATE, batch=20, total=EVENTS),
            GrpcPublisher(history, connection, [CHANNEL], EVENTS // BY_HTTP),
        ]
        for publisher in publishers:
            publisher.start()
        yield publishers
        wait_until(lambda: not any(one.is_alive() for one in publishers), SIZES.seconds, "all to be published")
        finish(history, [caller.chain for caller in callers], SIZES.seconds)
        for caller in callers:
            caller.stop()
        server.stop()
        for caller in callers:
            caller.join(10)
            assert not caller.is_alive()


def check(name: str, store: Store, history: History, done: str, began: float) -> None:
    """Judge a run, and note its row."""
    verdict = judge(history)
    report.note(f"P3: RPC, {name}", store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, verdict
    assert not verdict.told
    assert all(chain.connects > 1 for chain in history.chains), "each has lost its connection at least once"


def progress(publishers: Sequence[Publisher]) -> float:
    """Return how much is published, from 0 to 1: of that which takes longest."""
    by_http, by_calls = publishers
    return min(by_http.tried, by_calls.tried * BY_HTTP) / EVENTS


@on("sqlite", "redis")
def test_p3_calls_get_each_event_once_while_workers_are_killed_and_drain(store: Store) -> None:
    history, began = History(), time.monotonic()
    with store.serve(**OPTIONS) as server, run(history, server, server) as publishers:
        KillWorker(random.Random(21), server).run(SIZES.call_kills, lambda: 2 * progress(publishers))
        Reload(random.Random(22), server).run(SIZES.call_reloads, lambda: 2 * progress(publishers) - 1)
        # A worker that was new itself at the reload may still be on its way out.
        wait_until(lambda: all(chain.connects > 1 for chain in history.chains), 15, "each to have lost its worker")
    done = f"{SIZES.call_kills} × KillWorker, {SIZES.call_reloads} × Reload"
    check("killed and reloaded", store, history, done, began)


@on("sqlite")
def test_p3_calls_get_each_event_once_whatever_byte_their_connection_is_cut_at(store: Store) -> None:
    history, began = History(), time.monotonic()
    with (
        store.serve(**OPTIONS) as server,
        CuttingRelay(server.port, random.Random(23), MOST_BYTES) as relay,
        run(history, server, relay) as publishers,
    ):
        wait_until(lambda: not publishers[0].is_alive(), SIZES.seconds, "all events of HTTP to be published")
        relay.is_cutting = False
    assert relay.cuts > CALLERS
    check("connections cut", store, history, f"{relay.cuts} × cut", began)
