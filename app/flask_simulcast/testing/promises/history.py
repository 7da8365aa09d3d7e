"""The promises of a log about its history and the bounds of it."""

from __future__ import annotations

import secrets

from ...brokers.base import PAGE_EVENTS, SETTLE_SECONDS, Page
from ...event import Draft
from .broker_case import BrokerCase


class HistoryPromises(BrokerCase):
    """Pages of history, and trimming."""

    # Pages of history

    def test_a_page_has_several_channels_in_order(self) -> None:
        broker = self.open()
        start = broker.head()
        for n in range(30):
            self.store(broker, f"c{n % 3}", n)
        page = broker.page(["c0", "c2"], start, broker.head(), 1 << 20)
        assert [event.data for event in page.events] == [f'"{n}"' for n in range(30) if n % 3 != 1]
        assert (page.covered_to, page.marks) == (broker.head(), {})

    def test_a_page_is_bounded_in_bytes(self) -> None:
        broker = self.open()
        after = broker.head()
        for n in range(10):
            broker.append([Draft(f"c{n % 2}", "message", '"' + str(n) * 98 + '"')])
        sizes = []
        while (page := broker.page(["c0", "c1"], after, broker.head(), 300)).events:
            assert page.covered_to == page.events[-1].position or page.covered_to == broker.head()
            sizes.append(len(page.events))
            after = page.covered_to
        assert sizes == [3, 3, 3, 1]

    def test_a_page_is_bounded_in_bytes_not_in_characters(self) -> None:
        broker = self.open()
        after = broker.head()
        broker.append([Draft("c", "message", '"' + "\u4e2d" * 100 + '"')] * 6)
        assert len(broker.page(["c"], after, broker.head(), 700).events) == 2

    def test_a_page_is_bounded_in_events(self) -> None:
        broker = self.open()
        start = broker.head()
        positions = broker.append([Draft("c", "message", "1")] * (PAGE_EVENTS + 1))
        page = broker.page(["c"], start, broker.head(), 1 << 20)
        assert (len(page.events), page.covered_to) == (PAGE_EVENTS, positions[PAGE_EVENTS - 1])
        assert len(broker.page(["c"], page.covered_to, broker.head(), 1 << 20).events) == 1

    def test_a_page_has_one_event_that_is_larger_than_it(self) -> None:
        broker = self.open()
        start = broker.head()
        first, second = self.store(broker, "c", "x" * 500, "y" * 500)
        page = broker.page(["c"], start, broker.head(), 10)
        assert ([event.position for event in page.events], page.covered_to) == ([first], first)
        assert broker.page(["c"], first, broker.head(), 10).covered_to == second

    def test_an_empty_page_covers_its_stretch(self) -> None:
        broker = self.open()
        start = broker.head()
        up_to = self.store(broker, "other", 1, 2)[1]
        assert broker.page(["c"], start, up_to, 100) == Page([], up_to, {})

    def test_a_page_ends_at_the_requested_position(self) -> None:
        broker = self.open()
        positions = self.store(broker, "c", *range(5))
        page = broker.page(["c"], positions[0], positions[2], 1 << 20)
        assert [event.position for event in page.events] == positions[1:3]
        assert page.covered_to == positions[2]

    def test_a_page_tells_what_was_trimmed_after_the_reader(self) -> None:
        broker = self.open(history_events=1)
        start = broker.head()
        a = self.store(broker, "a", 1, 2, 3)
        b = self.store(broker, "b", 4, 5)
        self.store(broker, "quiet", 6)
        self.settle(broker)
        channels = ["a", "b", "quiet"]
        assert broker.page(channels, start, broker.head(), 1 << 20).marks == {"a": a[1], "b": b[0]}
        assert broker.page(channels, a[1], broker.head(), 1 << 20).marks == {"b": b[0]}
        assert broker.page(channels, b[0], broker.head(), 1 << 20).marks == {}

    # History

    def test_history_is_bounded_by_count_and_the_newest_stay(self) -> None:
        broker = self.open(history_events=10)
        for n in range(1500):
            broker.append([Draft("c", "message", str(n))])
        self.settle(broker)
        assert self.data_of(broker, "c") == [str(n) for n in range(1490, 1500)]

    def test_history_is_bounded_by_age(self) -> None:
        broker = self.open(history_seconds=100)
        self.store(broker, "c", 1)
        self.clock.advance(60)
        self.store(broker, "c", 2)
        self.settle(broker)
        assert self.data_of(broker, "c") == ["1", "2"]
        self.clock.advance(50)
        self.settle(broker)
        assert self.data_of(broker, "c") == ["2"]

    def test_a_prefix_has_a_history_of_its_own(self) -> None:
        broker = self.open(history_events=3, history_channels={"chat:": [1, 3600], "chat:long:": [5, 3600]})
        for n in range(8):
            for channel in ("news", "chat:a", "chat:long:a"):
                self.store(broker, channel, n)
        self.settle(broker)
        kept = [len(self.events_of(broker, channel)) for channel in ("news", "chat:a", "chat:long:a")]
        assert kept == [3, 1, 5]

    def test_events_younger_than_ten_seconds_are_not_trimmed(self) -> None:
        broker = self.open(history_events=0, history_seconds=0, history_bytes=1 << 20)
        broker.maintain()
        self.store(broker, "c", *("x" * 60_000 for _ in range(25)))
        for _ in range(3):
            broker.maintain()
            self.clock.advance(SETTLE_SECONDS / 4)
        assert len(self.events_of(broker, "c")) == 25

    def test_young_events_are_not_trimmed_when_the_clock_jumps_an_hour_ahead(self) -> None:
        broker = self.open(history_seconds=60)
        start = broker.head()
        broker.maintain()
        self.store(broker, "c", 1, 2)
        broker.maintain()
        self.clock.jump(3600)
        for _ in range(3):
            broker.maintain()
            self.clock.advance(SETTLE_SECONDS / 4)
        assert self.data_of(broker, "c") == ["1", "2"]
        assert not broker.read(start).passed

    def test_the_log_is_bounded_in_bytes_and_the_oldest_go_first(self) -> None:
        broker = self.open(history_bytes=1 << 20)
        for n in range(40):
            self.store(broker, f"c{n % 4}", str(n) * 20_000)
        self.store(broker, "last", "newest")
        self.settle(broker)
        kept = self.events_of(broker, "c0", "c1", "c2", "c3", "last")
        assert sum(len(event.data) for event in kept) <= 1 << 20
        assert kept[-1].data == '"newest"'
        newest_first = [event.position for event in reversed(kept)]
        assert newest_first == sorted(newest_first, reverse=True)
        assert broker.verdict(kept[0].position, ["c0", "c1", "c2", "c3"]).reason is None

    def test_the_bound_in_bytes_leaves_the_events_that_fit(self) -> None:
        broker = self.open(history_bytes=2 << 20)
        for n in range(80):
            self.store(broker, "c", str(n % 10) * 32_000)
        self.settle(broker)
        assert sum(len(event.data) for event in self.events_of(broker, "c")) > 1 << 20

    # Maintenance

    def test_maintaining_an_empty_log_does_nothing(self) -> None:
        broker = self.open()
        birth = broker.head()
        for _ in range(3):
            self.settle(broker)
        assert broker.head() == birth
        assert broker.read(birth)[:2] == ([], False)
        self.verdict_is(broker, birth, ["c"], None)

    def test_maintaining_from_several_brokers_trims_the_same(self) -> None:
        broker = self.open(history_events=2)
        other = self.open_other(broker, history_events=2)
        self.store(broker, "c", *range(5))
        for _ in range(6):
            broker.maintain()
            other.maintain()
            self.clock.advance(3)
        assert self.data_of(broker, "c") == self.data_of(other, "c") == ["3", "4"]

    def test_generation_stays_while_the_log_is_the_same(self) -> None:
        broker = self.open()
        generation = broker.generation
        self.store(broker, secrets.token_hex(4), 1)
        self.settle(broker)
        assert broker.generation == generation
