"""What a round of maintenance looks at, and what waits for it."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.settings import Retention
from app.flask_simulcast.testing import FakeClock
from tests.contract.logs import draft, shell
from tests.tools.serving import wait_until

Open = Callable[..., SQLiteBroker]
Held = Callable[[], dict[str, int]]

KEEP = 40
CHANNELS = 150  # more than two rounds look at, besides those that have grown


@pytest.fixture
def held(path: Path) -> Held:
    """The number of events of each channel."""

    def count() -> dict[str, int]:
        with closing(shell(path)) as db:
            return dict(db.execute("SELECT channel, count(*) FROM events WHERE channel IS NOT NULL GROUP BY channel"))

    return count


def test_histories_are_never_below_their_bound_and_soon_at_it(clock: FakeClock, open_broker: Open, held: Held) -> None:
    one, other = open_broker(history_events=KEEP), open_broker(history_events=KEEP)
    chance = random.Random(15)
    stored: Counter[str] = Counter()
    maintainer = one
    for _ in range(40):
        names = [f"c{chance.randrange(CHANNELS)}" for _ in range(400)]
        one.append([draft(channel=name) for name in names])
        stored.update(names)
        clock.advance(chance.choice([3, 6, 11]))
        if chance.random() < 0.2:  # the lease of the other has ended
            maintainer = other if maintainer is one else one
        for broker in (maintainer, *([one, other] if chance.random() < 0.5 else [])):
            broker.maintain()
        have = held()
        assert all(have[name] >= min(count, KEEP) for name, count in stored.items())
    for _ in range(CHANNELS // 64 + 2):
        clock.advance(11)
        one.maintain()
    assert held() == {name: min(count, KEEP) for name, count in stored.items()}


def test_an_active_channel_exceeds_its_bound_by_an_eighth_at_most(
    clock: FakeClock, open_broker: Open, held: Held
) -> None:
    broker = open_broker(history_events=KEEP)
    quiet = [draft(channel=f"a{number:03}") for number in range(200)]  # the look at all channels is busy with these
    broker.append(quiet)
    most = 0
    for _ in range(100):
        broker.append([draft(channel="z")])
        clock.advance(11)
        broker.maintain()
        most = max(most, held()["z"])
    assert KEEP < most <= KEEP + KEEP // 8 + 1


def test_a_full_history_is_not_walked_at_each_event(clock: FakeClock, open_broker: Open, held: Held) -> None:
    broker = open_broker(history_events=800)
    broker.append([draft(channel=f"a{number:03}") for number in range(200)])
    broker.append([draft(channel="z")] * 900)
    for _ in range(3):
        clock.advance(11)
        broker.maintain()
    walks: list[str] = []
    store = broker._log.files.maintenance._store
    store._db.set_trace_callback(lambda sql: walks.append(sql) if "OFFSET" in sql and "'z'" in sql else None)
    for _ in range(30):
        broker.append([draft(channel="z")])
        clock.advance(11)
        broker.maintain()
    # Of 7 rounds that look at the next 64 channels, one or two come to this channel.
    assert 1 <= len(walks) <= 12
    assert held()["z"] >= 800


def test_an_age_is_kept_by_channels_that_grow(clock: FakeClock, open_broker: Open, held: Held) -> None:
    broker = open_broker(history_channels={"short.": Retention(100, 60)}, history_events=1000)
    broker.append([draft(channel=f"a{number:03}") for number in range(200)])
    for _ in range(20):
        broker.append([draft(channel="short.z")])
        clock.advance(11)
        broker.maintain()
        broker.maintain()
    assert held()["short.z"] == 5


def test_a_change_does_not_wait_for_a_round(open_broker: Open) -> None:
    broker = open_broker()
    reading, writing = os.pipe()
    begun: list[bool] = []  # no event: in gevent 25.4 its set() can fail in another thread

    def round(_: object) -> None:
        begun.append(True)
        os.read(reading, 1)  # gevent does not patch it

    worker = threading.Thread(target=broker._log.maintain, args=(round,))
    worker.start()
    try:
        wait_until(lambda: begun, what="the round to begin")
        broker.put_text("ticket", "text", 30)
        assert broker.pop_text("ticket") == "text"
    finally:
        os.write(writing, b"!")
        worker.join(10)
        os.close(reading)
        os.close(writing)
