"""P14: the wall clock may jump by an hour, back and forth: order and replay hold, and a listener that lost events is told."""

from __future__ import annotations

import random
import time

from tests.faults import report
from tests.faults.checker import History, judge, order
from tests.faults.generator import Listeners, Publisher
from tests.faults.nemesis import ShiftClock
from tests.faults.sizes import SIZES
from tests.tools.relay import CuttingRelay
from tests.tools.require import require
from tests.tools.serving import wait_until
from tests.tools.tiers import Store, on

RATE = 1000
LISTENERS = 4
MOST_BYTES = 32 << 10
HOUR_MS = 3_600_000


@on("memory", "sqlite", "redis")
def test_p14_order_and_replay_hold_while_the_clock_jumps(store: Store) -> None:
    """The clock of the workers jumps. `testing.BrokerContract` has jumps of Redis' clock, where libfaketime does not work."""
    require("libfaketime", str(ShiftClock.LIBRARY) if ShiftClock.LIBRARY else None)
    history, began = History(), time.monotonic()
    nemesis = ShiftClock(random.Random(14), store.folder / "server")
    with (
        store.serve(history_events=100_000, heartbeat_seconds=1, **nemesis.environment) as server,
        CuttingRelay(server.port, random.Random(15), MOST_BYTES) as relay,
        Listeners(history, relay.port, [("flow",)] * LISTENERS) as listeners,
    ):
        publisher = Publisher(history, [server.port], rate=RATE, batch=10)
        publisher.start()
        for _ in range(SIZES.clock_jumps):
            nemesis.strike()
            had = publisher.tried
            wait_until(lambda had=had: publisher.tried >= had + 2 * RATE, 30, "events to flow")
        publisher.stop()
        listeners.finish()
    verdict = judge(history)
    stamps = [order(attempt.position) >> 32 for attempt in history.attempts]
    done = f"{SIZES.clock_jumps} × clock set"
    report.note("P14: clock jumps", store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, (verdict, nemesis.log)
    assert {gap.reason for chain in history.chains for gap in chain.gaps} <= {"trimmed"}
    assert (max(stamps) - min(stamps) > HOUR_MS / 2) == (store.tier != "redis"), (
        "Redis' own clock gives positions their time"
    )
