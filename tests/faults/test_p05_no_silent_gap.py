"""P5: what can't be given is said, with its reason, before anything else; and a listener that misses nothing gets no gap."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.checker import History, judge, order
from tests.faults.exchanges import Exchange, Flush, Forget, LoadDump, Promote, Restart, Restore, Wipe
from tests.faults.generator import Listeners, Publisher
from tests.faults.nemesis import Service
from tests.faults.sizes import SIZES
from tests.tools.clients import SSEClient
from tests.tools.relay import Relay
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import Store, on, open_store

LISTENERS = 4
RATE = 200
KEPT = 10  # events of a channel
CHANNELS = [f"c{number}" for number in range(SIZES.gap_listeners)]
# Ahead of the log, or, once others have published, among what it has since: either says that it is another one.
FOREIGN = {"lost", "forked"}
EXCHANGES: list[tuple[str, type[Exchange], bool]] = [
    ("memory", Restart, True),
    ("sqlite", Wipe, True),
    ("sqlite", Restore, True),
    ("redis", Flush, True),
    ("redis", Forget, False),
    ("redis", LoadDump, False),
    ("redis", Promote, False),
]


def told(server: Server, position: str, channel: str) -> str | None:
    """Return the reason of the gap that a listener with this position is told; None without a gap."""
    deadline = time.monotonic() + 10
    while True:
        with SSEClient(server.port, f"/api/v1/stream?channel={channel}", last_event_id=position) as client:
            first = client.next()
        assert first is not None
        if first.type == "gap":
            return str(first.json["reason"])
        if first.type == "connected":
            return None
        # A worker whose broker is just being started again says goodbye, and asks to be asked again.
        assert first.json == {"reason": "broker_unavailable", "reconnect": True}
        assert time.monotonic() < deadline, first
        time.sleep(0.05)


def all_told(server: Server, held: dict[str, str]) -> list[str | None]:
    """The holders of a position, by channel."""
    return [told(server, position, channel) for channel, position in held.items()]


def hold(server: Server) -> dict[str, str]:
    """Publish a new event in each channel."""
    return {channel: server.publish(channel, {"n": -1})[0] for channel in CHANNELS}


@contextlib.contextmanager
def exchange_of(
    kind: type[Exchange], store: Store, history: History, service: Service, relay: Relay
) -> Iterator[Exchange]:
    chance = random.Random(5)
    if kind is not Promote:
        yield kind(chance, history, store, service)
        return
    assert store.redis is not None
    masters = [store.redis]
    try:
        yield Promote(chance, history, store, service, relay, masters)
    finally:
        for redis in masters[1:]:
            redis.stop()


@pytest.mark.parametrize(("tier", "kind", "keeps"), EXCHANGES, ids=[kind.__name__ for _, kind, _ in EXCHANGES])
def test_p5_a_log_that_was_exchanged_is_noticed_by_all(
    tmp_path: Path, tier: str, kind: type[Exchange], keeps: bool
) -> None:
    history, began = History(), time.monotonic()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(tier, tmp_path, keeps=keeps))
        relay = stack.enter_context(Relay(store.redis.port if store.redis else 0))
        if kind is Promote:
            store = replace(store, url=f"redis://127.0.0.1:{relay.port}/0")
        service = stack.enter_context(Service(tmp_path / "server", broker_url=store.url, workers=store.workers))
        exchange = stack.enter_context(exchange_of(kind, store, history, service, relay))
        listeners = stack.enter_context(Listeners(history, service.port, [("flow",)] * LISTENERS))
        publisher = Publisher(history, [service.port], rate=RATE, batch=2, is_keyed=False)
        publisher.start()
        for _ in range(SIZES.gap_rounds):
            kept = hold(service.server)
            exchange.prepare()
            torn = hold(service.server)
            assert set(all_told(service.server, kept | torn)) == {None}, "nothing is missing yet"
            newest = max(map(order, torn.values()))
            wait_until(
                lambda newest=newest: all_are_past(history, newest), 10, "the live ones to have what will be gone"
            )
            known = [len(chain.gaps) for chain in history.chains]
            exchange.strike()
            wait_until(lambda known=known: all_have_more(history, known), 10, "the live ones to be told")
            if exchange.goes_back:
                assert set(all_told(service.server, torn)) <= FOREIGN
                assert set(all_told(service.server, kept)) == {None}
            else:
                assert set(all_told(service.server, kept | torn)) == {"lost"}
            assert set(all_told(service.server, hold(service.server))) == {None}
        publisher.stop()
        listeners.finish()
    verdict = judge(history)
    done = f"{SIZES.gap_rounds} × {kind.__name__}"
    report.note("P5: log exchanged", tier, history, verdict, done=done, seconds=time.monotonic() - began)
    assert not verdict.faults, (verdict, exchange.log, [chain.gaps for chain in history.chains])
    assert {gap.reason for chain in history.chains for gap in chain.gaps} <= FOREIGN


def all_are_past(history: History, place: int) -> bool:
    return all(chain.positions and order(chain.positions[-1]) > place for chain in history.chains)


def all_have_more(history: History, known: list[int]) -> bool:
    return all(len(chain.gaps) > count for chain, count in zip(history.chains, known, strict=True))


@on("memory", "sqlite", "redis")
def test_p5_positions_that_were_never_given_out_are_told_from_those_that_were(store: Store) -> None:
    chance = random.Random(6)
    with store.serve() as server:
        server.publish("flow", 0)
        held = hold(server)
        assert set(all_told(server, held)) == {None}
        for channel, position in list(held.items())[: SIZES.gap_listeners // 2]:
            milliseconds, counter, tag = position.split("-")
            forged = f"{milliseconds}-{counter}-{int(tag, 16) ^ chance.randrange(1, 1 << 32):08x}"
            assert told(server, forged, channel) == "forked"
            assert told(server, f"{int(milliseconds) + chance.randrange(10**4, 10**9)}-0-{tag}", channel) == "lost"
            assert told(server, f"{chance.randrange(10**12)}-{counter}-{tag}", channel) == "lost"
            assert told(server, position[: chance.randrange(1, len(position))], channel) == "invalid"
        assert set(all_told(server, held)) == {None}


def test_p5_what_was_trimmed_is_said_and_what_was_not_is_given(tmp_path: Path) -> None:
    """All tiers run at once, because events younger than ten seconds are not trimmed: the test waits only once."""
    with contextlib.ExitStack() as stack:
        servers = []
        for tier in ("memory", "sqlite", "redis"):
            store = stack.enter_context(open_store(tier, tmp_path / tier))
            servers.append(stack.enter_context(store.serve(history_events=KEPT)))
        held = [
            (server, hold(server), {c: server.publish(c, *range(2 * KEPT))[0] for c in CHANNELS[::2]})
            for server in servers
        ]
        began = time.monotonic()
        for server, first, _ in held:
            assert set(all_told(server, first)) == {None}
        assert time.monotonic() - began < 10, "too slow to say that nothing was trimmed yet"
        for server, first, _ in held:

            def are_trimmed(server: Server = server, first: dict[str, str] = first) -> bool:
                # A channel is trimmed when it grows.
                for channel in CHANNELS[::2]:
                    server.publish(channel, {"n": -1})
                return {told(server, first[channel], channel) for channel in CHANNELS[::2]} == {"trimmed"}

            wait_until(are_trimmed, 60, "each long channel to be trimmed")
            assert {told(server, first[channel], channel) for channel in CHANNELS[1::2]} == {None}, "these are short"
            assert set(all_told(server, hold(server))) == {None}
