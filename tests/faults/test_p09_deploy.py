"""P9: a rolling reload under load. Every stream ends cleanly and comes back in its own time; no client is refused, and nothing
that was acknowledged is lost."""

from __future__ import annotations

import collections
import random
import time

from tests.faults import report
from tests.faults.checker import History, judge
from tests.faults.generator import Listeners, Publisher
from tests.faults.nemesis import Reload
from tests.faults.sizes import SIZES
from tests.tools.serving import wait_until
from tests.tools.tiers import Store, on

RATE = 1000
RETRY_MS = 1000
CHANNELS = [f"c{number}" for number in range(50)]


@on("sqlite", "redis")
def test_p9_streams_end_cleanly_and_nothing_is_lost_while_a_server_is_reloaded_under_load(store: Store) -> None:
    history, began = History(), time.monotonic()
    with store.serve(history_events=100_000, retry_ms=RETRY_MS) as server:
        each = [(CHANNELS[number % len(CHANNELS)],) for number in range(SIZES.streams)]
        with Listeners(history, server.port, each, obeys=True) as listeners:
            publisher = Publisher(history, [server.port], CHANNELS, rate=RATE, batch=20)
            publisher.start()
            nemesis = Reload(random.Random(13), server)
            for _ in range(SIZES.reloads):
                reloaded = time.monotonic()
                nemesis.strike()
                wait_until(lambda since=reloaded: all_are_back(listeners, since), 20, "all to be back")
            publisher.stop()
            listeners.finish()
    verdict = judge(history)
    endings = [ending for client in listeners.clients for ending in client.endings]
    hows = collections.Counter((ending.how, ending.reason) for ending in endings)
    retries = [ending.retry_ms for ending in endings]
    done = f"{SIZES.reloads} × HUP, {len(endings)} goodbyes"
    report.note("P9: reloads", store.tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, (verdict, nemesis.log)
    assert not verdict.told
    assert set(hows) == {("clean", "draining")}, hows
    assert publisher.turned_away == 0
    assert not publisher.refusals
    spread = collections.Counter((retry or 0) * 10 // RETRY_MS for retry in retries)
    assert set(spread) <= set(range(5, 16)), spread
    assert all(spread[tenth] > len(retries) / 40 for tenth in range(5, 15)), f"not spread over the window: {spread}"


def all_are_back(listeners: Listeners, since: float) -> bool:
    """Tell whether each listener got a goodbye since then, and `connected` after that."""
    return all(c.endings and c.connected[-1] > c.endings[-1].at > since for c in listeners.clients)
