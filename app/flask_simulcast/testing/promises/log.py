"""The promises of a log about positions, appends and reads."""

from __future__ import annotations

from ...event import Draft, Position
from .broker_case import BrokerCase


class LogPromises(BrokerCase):
    """One sequence of events over all channels."""

    # Positions

    def test_positions_increase_over_all_channels(self) -> None:
        broker = self.open()
        positions = [broker.head()]
        for value in range(50):
            positions += self.store(broker, f"c{value % 3}", value)
        assert [p.key for p in positions] == sorted({p.key for p in positions})

    def test_positions_increase_when_the_clock_jumps_back(self) -> None:
        broker = self.open()
        before = self.store(broker, "c", 1)[0]
        self.clock.jump(-3600)
        after = self.store(broker, "c", 2, 3)
        assert before.key < after[0].key < after[1].key
        assert self.data_of(broker, "c") == ["1", "2", "3"]

    def test_positions_increase_when_the_clock_jumps_ahead_and_back(self) -> None:
        broker = self.open()
        positions = self.store(broker, "c", 1)
        for seconds in (3600, -7200, 60, -86400, 1):
            self.clock.jump(seconds)
            positions += self.store(broker, "c", seconds)
        assert [p.key for p in positions] == sorted({p.key for p in positions})

    def test_a_position_tells_the_time(self) -> None:
        broker = self.open()
        self.clock.advance(5)
        assert self.store(broker, "c", 1)[0].milliseconds == self.clock.time_ms()

    def test_the_head_of_an_empty_log_is_its_birth(self) -> None:
        broker = self.open()
        birth = broker.head()
        assert broker.head() == birth
        assert broker.read(birth)[:2] == ([], False)
        assert Position.parse(str(birth)) == birth

    def test_the_head_is_the_last_position_given_out(self) -> None:
        broker = self.open()
        assert broker.head() != self.store(broker, "c", 1)[0] == broker.head()

    def test_the_head_stays_when_all_events_have_been_trimmed(self) -> None:
        broker = self.open(history_events=0)
        last = self.store(broker, "c", 1, 2)[-1]
        self.settle(broker)
        assert self.events_of(broker, "c") == []
        assert broker.head() == last
        self.clock.jump(-3600)
        assert self.store(broker, "c", 3)[0].key > last.key

    # Append

    def test_a_batch_is_stored_in_its_order(self) -> None:
        broker = self.open()
        positions = broker.append([Draft(f"c{n % 2}", f"t{n}", str(n)) for n in range(200)])
        events = self.read_all(broker, Position(positions[0].key - 1, 0))
        assert [(e.position, e.channel, e.type, e.data) for e in events] == [
            (position, f"c{n % 2}", f"t{n}", str(n)) for n, position in enumerate(positions)
        ]

    def test_an_empty_batch_stores_nothing(self) -> None:
        broker = self.open()
        birth = broker.head()
        assert broker.append([]) == []
        assert broker.head() == birth

    def test_new_events_tell_which_position_they_follow(self) -> None:
        """The pump of their worker hands them on unread then. None is always right: it reads."""
        broker = self.open()
        other = self.open_other(broker)
        head = broker.head()
        first = broker.append([Draft("c", "message", "1", key="known")])
        assert first.after in ({head} if broker.reads_at_once else {None, head})
        between = other.append([Draft("c", "message", "2")])[-1]
        second = broker.append([Draft("c", "message", "3"), Draft("c", "message", "4")])
        assert second.after in ({between} if broker.reads_at_once else {None, between})

    def test_events_that_are_known_follow_no_position(self) -> None:
        broker = self.open()
        known = Draft("c", "message", "1", key="known")
        broker.append([known])
        assert broker.append([Draft("c", "message", "2"), known]).after is None
        assert broker.append([known, Draft("c", "message", "3")]).after is None

    def test_data_comes_back_as_it_was(self) -> None:
        broker = self.open()
        texts = ['"\u2028 \u0085 \u00e9 \u4e2d \U0001f600"', '"\\u0000 \\ud800"', '"\'; DROP TABLE events; --"', "1.50"]
        texts += [' "raw \\u0000 \\r\\n"']  # see `data`: the space tells raw text apart
        texts += ['"' + "\u4e2d" * 20_000 + '"', '{"a":"\\"\\\\"}']
        for copies in (1, 50):  # a broker might store small and large batches in different ways
            start = broker.head()
            broker.append([Draft("c", "\u540d: x", text) for text in texts for _ in range(copies)])
            events = self.read_all(broker, start)
            assert [event.data for event in events] == [text for text in texts for _ in range(copies)]
            assert {event.type for event in events} == {"\u540d: x"}

    def test_two_brokers_on_one_log_see_each_other(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        start = broker.head()
        positions = [b.append([Draft("c", "message", str(n))])[0] for n, b in enumerate([broker, other] * 5)]
        for reader in (broker, other):
            assert [event.position for event in self.read_all(reader, start)] == positions
            assert reader.head() == positions[-1]

    # Reading on

    def test_reading_is_in_order_and_bounded(self) -> None:
        broker = self.open()
        start = broker.head()
        for first in range(0, 5000, 500):
            broker.append([Draft(f"c{n % 7}", "message", str(n)) for n in range(first, first + 500)])
        assert 1 <= len(broker.read(start).events) < 5000
        assert [event.data for event in self.read_all(broker, start)] == [str(n) for n in range(5000)]

    def test_reading_at_the_head_gives_nothing(self) -> None:
        broker = self.open()
        self.store(broker, "c", 1)
        assert broker.read(broker.head())[:2] == ([], False)

    def test_a_reader_learns_that_trimming_has_passed_it(self) -> None:
        broker = self.open(history_events=2)
        start = broker.head()
        positions = self.store(broker, "c", *range(6))
        assert not broker.read(start).passed
        self.settle(broker)
        assert broker.read(start).passed
        assert broker.read(positions[2]).passed
        assert not broker.read(positions[3]).passed

    def test_a_reader_learns_that_sweeping_has_passed_it(self) -> None:
        broker = self.open(history_seconds=60)
        start = broker.head()
        old = self.store(broker, "c", 1, 2)
        self.clock.advance(120)
        self.store(broker, "c", 3)
        for _ in range(3):
            self.settle(broker)
        assert self.data_of(broker, "c") == ["3"]
        assert broker.read(start).passed
        assert broker.read(old[0]).passed
        batch = broker.read(old[1])
        assert ([event.data for event in batch.events], batch.passed) == (['"3"'], False)

    # Hints

    def test_waiting_ends_when_another_broker_appends(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        broker.wait(0)
        self.assert_is_woken(broker, lambda: self.store(other, "c", 1))

    def test_waiting_ends_after_its_time(self) -> None:
        self.open().wait(0.01)
