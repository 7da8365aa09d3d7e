"""P11 and P12: a cut client leaves nothing behind, and each limit answers by name while others are served.

Ten thousand connects of every kind are in `tests/integration/test_streams.py`; each limit of its own has a test beside what
it limits. Here both are tried on each tier.
"""

from __future__ import annotations

import contextlib
import json
import random

from tests.faults.checker import History, judge
from tests.faults.generator import Listeners, Publisher
from tests.faults.sizes import SIZES
from tests.tools.clients import SSEClient
from tests.tools.inspection import inspect
from tests.tools.relay import CuttingRelay
from tests.tools.serving import BEARER, Server, wait_until
from tests.tools.tiers import Store, on

CHANNELS = [f"c{number}" for number in range(20)]
FIGURES = ("listeners", "channels", "audiences", "greenlets", "descriptors")
MOST_LINKS = 20


def held(server: Server, store: Store) -> dict[str, int]:
    """Return what the worker holds. The few links to Redis are kept for reuse, and don't count."""
    figures = inspect(server)
    links = store.redis.command("CLIENT", "LIST").count(b"id=") - 1 if store.redis is not None else 0
    assert links <= MOST_LINKS
    return {name: figures[name] - (links if name == "descriptors" else 0) for name in FIGURES}


@on("memory", "sqlite", "redis")
def test_p11_nothing_is_left_of_listeners_that_were_cut_at_any_byte(store: Store) -> None:
    with store.serve(workers=1, app="tests.apps.inspected:app", KEEPALIVE=1, history_events=100_000) as server:
        come_and_go(server, 5)
        wait_until(lambda: inspect(server)["listeners"] == 0, 10)
        wait_until(lambda: is_quiet(server), 20, "connections to be closed")
        before = held(server, store)
        cuts = come_and_go(server, SIZES.leaks)
        assert cuts >= SIZES.leaks
        for name in FIGURES:
            wait_until(lambda n=name: held(server, store)[n] <= before[n], 20, f"{name} to be back at {before[name]}")
        assert "Traceback" not in server.log


def come_and_go(server: Server, cuts: int) -> int:
    """Run listeners and a publisher, until a number of connections were cut."""
    history = History()
    with (
        CuttingRelay(server.port, random.Random(cuts), 4096) as relay,
        Listeners(history, relay.port, [CHANNELS[number % 20 :][:3] for number in range(40)]) as listeners,
    ):
        publisher = Publisher(history, [server.port], CHANNELS, rate=1000, batch=20)
        publisher.start()
        wait_until(lambda: relay.cuts >= cuts, 60, "so many to be cut")
        publisher.stop()
        listeners.finish()
    verdict = judge(history)
    assert not verdict.faults, verdict
    return relay.cuts


def is_quiet(server: Server) -> bool:
    """Tell whether only the test's own connection is left."""
    first = inspect(server)
    return all(inspect(server)["descriptors"] <= first["descriptors"] for _ in range(3))


LIMITS = {
    "max_listeners": 3,
    "max_channels_per_listener": 4,
    "max_event_bytes": 1000,
    "max_body_bytes": 100_000,
    "max_batch_events": 50,
}


@on("sqlite", "redis")
def test_p12_one_more_than_each_limit_is_refused_by_name_while_others_are_served(store: Store) -> None:
    with store.serve(workers=1, **LIMITS) as server, contextlib.ExitStack() as stack:
        for _ in range(LIMITS["max_listeners"]):
            client = stack.enter_context(SSEClient(server.port, "/api/v1/stream?channel=a"))
            client.until("connected")
        many = "&".join(f"channel=c{number}" for number in range(LIMITS["max_channels_per_listener"] + 1))
        event = {"channel": "a", "data": 1}
        for method, path, body, expected in [
            ("GET", "/api/v1/stream?channel=a", None, (503, "listener_limit")),
            ("GET", f"/api/v1/stream?{many}", None, (400, "channel_count")),
            ("POST", "/api/v1/events", event | {"data": "x" * LIMITS["max_event_bytes"]}, (413, "event_too_large")),
            ("POST", "/api/v1/events", [event] * (LIMITS["max_batch_events"] + 1), (413, "too_many_events")),
            ("POST", "/api/v1/events", b" " * (LIMITS["max_body_bytes"] + 1), (413, "request_entity_too_large")),
        ]:
            status, _, text = server.request(method, path, body, BEARER)
            assert (status, json.loads(text)["error"]["code"]) == expected
            server.publish("a", 1)
            assert client.until("message").json == 1
        assert "Traceback" not in server.log
