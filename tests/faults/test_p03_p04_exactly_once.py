"""P3 and P4: each event comes once, whatever byte a connection is cut at; a retried publish is the same event."""

from __future__ import annotations

import random
import time

from tests.faults import report
from tests.faults.checker import History, judge
from tests.faults.generator import Listeners, Publisher
from tests.faults.sizes import SIZES
from tests.tools.relay import CuttingRelay, ForgetfulRelay
from tests.tools.serving import wait_until
from tests.tools.tiers import Store, on

LISTENERS = 4
MOST_BYTES = 32 << 10  # some hundred events; a chunk has up to twice as much
PUBLISHERS = 4
DROPPED = 0.3
CHANNEL = ("flow",)


@on("memory", "sqlite", "redis")
def test_p3_each_event_comes_once_whatever_byte_a_connection_is_cut_at(store: Store) -> None:
    history, began = History(), time.monotonic()
    with (
        store.serve(history_events=2 * SIZES.cut_events) as server,
        CuttingRelay(server.port, random.Random(3), MOST_BYTES) as relay,
        Listeners(history, relay.port, [CHANNEL] * LISTENERS) as listeners,
    ):
        publisher = Publisher(history, [server.port], batch=20, total=SIZES.cut_events)
        publisher.start()
        wait_until(lambda: not publisher.is_alive(), SIZES.seconds, "all to be published")
        listeners.finish(SIZES.seconds)
    verdict = judge(history)
    seconds = time.monotonic() - began
    report.note("P3: connections cut", store.tier, history, verdict, done=f"{relay.cuts} × cut", seconds=seconds)
    assert not verdict.faults, verdict
    assert not verdict.told
    assert relay.cuts > LISTENERS * SIZES.cut_events * 50 / MOST_BYTES, "an event has some fifty bytes"


@on("memory", "sqlite", "redis")
def test_p4_a_publish_whose_answer_is_lost_is_stored_once(store: Store) -> None:
    history, began = History(), time.monotonic()
    with (
        store.serve(history_events=2 * SIZES.keyed_events) as server,
        ForgetfulRelay(server.port, random.Random(4), DROPPED) as relay,
        Listeners(history, server.port, [CHANNEL]) as listeners,
    ):
        total = SIZES.keyed_events // PUBLISHERS
        publishers = [Publisher(history, [relay.port], batch=20, total=total) for _ in range(PUBLISHERS)]
        for publisher in publishers:
            publisher.start()
        wait_until(lambda: not any(one.is_alive() for one in publishers), SIZES.seconds, "all to be published")
        listeners.finish()
    verdict = judge(history)
    done = f"{relay.dropped} of {relay.answers} answers lost"
    report.note("P4: answers lost", store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, verdict
    assert len(history.chains[0].numbers) == PUBLISHERS * total
    assert sum(publisher.retries for publisher in publishers) >= relay.dropped > DROPPED * relay.answers / 2
