"""The promises of a log to a listener that reconnects."""

from __future__ import annotations

from ...brokers.base import Verdict
from ...event import Position, first_key_of
from .broker_case import BrokerCase


class VerdictPromises(BrokerCase):
    """Whether a listener can get what it missed."""

    def test_a_listener_that_history_covers_misses_nothing(self) -> None:
        broker = self.open()
        birth = broker.head()
        positions = [birth, *self.store(broker, "c", 1, 2, 3)]
        for position in positions:
            assert self.verdict_is(broker, position, ["c", "d"], None) == Verdict(None, (), position, position)

    def test_an_empty_log_misses_nothing_after_its_birth(self) -> None:
        broker = self.open()
        self.verdict_is(broker, broker.head(), ["c"], None)

    def test_trimmed_is_told_for_the_channels_that_miss_something(self) -> None:
        broker = self.open(history_events=2)
        birth = broker.head()
        first = self.store(broker, "a", 0)[0]
        positions = self.store(broker, "c", *range(5))
        self.store(broker, "b", 9)
        self.settle(broker)
        assert self.verdict_is(broker, birth, ["a", "b", "c"], "trimmed") == Verdict(
            "trimmed", ("c",), birth, positions[2]
        )
        self.verdict_is(broker, first, ["c"], "trimmed")
        self.verdict_is(broker, positions[1], ["b", "c"], "trimmed")

    def test_trimmed_is_silent_for_others_and_for_listeners_that_have_it(self) -> None:
        broker = self.open(history_events=2)
        birth = broker.head()
        self.store(broker, "a", 0)
        positions = self.store(broker, "c", *range(5))
        self.settle(broker)
        self.verdict_is(broker, birth, ["a"], None)
        for position in positions[2:]:
            self.verdict_is(broker, position, ["a", "c"], None)

    def test_history_of_no_events_is_trimmed_for_all_but_the_last(self) -> None:
        broker = self.open(history_events=0)
        birth = broker.head()
        first, last = self.store(broker, "c", 1, 2)
        self.verdict_is(broker, birth, ["c"], None)
        self.settle(broker)
        self.verdict_is(broker, birth, ["c"], "trimmed")
        self.verdict_is(broker, first, ["c"], "trimmed")
        self.verdict_is(broker, last, ["c"], None)

    def test_a_heartbeat_id_of_a_busy_neighbour_is_whole(self) -> None:
        broker = self.open(history_events=2)
        self.store(broker, "quiet", 1)
        neighbours = self.store(broker, "busy", *range(6))
        self.store(broker, "quiet", 2)
        self.settle(broker)
        assert [event.position for event in self.events_of(broker, "busy")] == neighbours[4:]
        for position in neighbours:
            self.verdict_is(broker, position, ["quiet"], None)

    def test_a_channel_that_is_forgotten_altogether_is_still_trimmed(self) -> None:
        broker = self.open(history_seconds=100)
        birth = broker.head()
        old = self.store(broker, "gone", 1, 2)
        for _ in range(4):
            self.clock.advance(100)
            self.store(broker, "alive", "x")
            self.settle(broker)
        self.verdict_is(broker, birth, ["gone"], "trimmed")
        self.verdict_is(broker, old[0], ["gone"], "trimmed")
        self.verdict_is(broker, old[1], ["gone"], None)
        self.verdict_is(broker, broker.head(), ["gone", "alive"], None)

    def test_a_forgotten_channel_that_comes_back_keeps_its_gap(self) -> None:
        broker = self.open(history_seconds=100)
        birth = broker.head()
        old = self.store(broker, "gone", 1)[0]
        for _ in range(4):
            self.clock.advance(100)
            self.store(broker, "alive", "x")
            self.settle(broker)
        self.store(broker, "gone", 2)
        assert self.data_of(broker, "gone", after=birth) == ["2"]
        self.verdict_is(broker, birth, ["gone"], "trimmed")
        self.verdict_is(broker, old, ["gone"], None)

    def test_lost_is_told_to_a_listener_from_before_the_birth(self) -> None:
        broker = self.open()
        birth = broker.head()
        self.store(broker, "c", 1)
        old = Position(birth.key - 1, 7)
        assert self.verdict_is(broker, old, ["c", "d"], "lost") == Verdict("lost", ("c", "d"), birth, birth)
        self.verdict_is(broker, birth, ["c", "d"], None)

    def test_lost_is_told_to_a_listener_ahead_of_the_log(self) -> None:
        broker = self.open()
        head = self.store(broker, "c", 1)[0]
        for key in (head.key + 1, first_key_of(self.clock.time_ms() + 1), (1 << 63) - 1):
            assert self.verdict_is(broker, Position(key, head.tag), ["c"], "lost") == Verdict(
                "lost", ("c",), head, head
            )
        self.verdict_is(broker, head, ["c"], None)

    def test_forked_is_told_for_a_key_with_another_tag(self) -> None:
        broker = self.open()
        positions = self.store(broker, "c", 1, 2, 3)
        for position in positions:
            other = Position(position.key, position.tag ^ 1)
            assert self.verdict_is(broker, other, ["c"], "forked") == Verdict("forked", ("c",), other, other)
            self.verdict_is(broker, position, ["c"], None)

    def test_forked_is_told_for_a_key_that_was_never_given_out(self) -> None:
        broker = self.open()
        first = self.store(broker, "c", 1)[0]
        self.clock.advance(1)
        self.store(broker, "c", 2)
        self.verdict_is(broker, Position(first.key + 1, first.tag), ["c"], "forked")

    def test_forked_is_told_also_after_the_event_was_trimmed(self) -> None:
        broker = self.open(history_events=1)
        position = self.store(broker, "c", 1, 2, 3)[0]
        self.settle(broker)
        self.verdict_is(broker, Position(position.key, position.tag ^ 1), ["c"], "forked")
        self.verdict_is(broker, position, ["other"], None)

    def test_forked_is_told_right_above_the_floor_of_the_tail(self) -> None:
        broker = self.open(history_seconds=60)
        swept = self.store(broker, "c", 1)[0]
        self.clock.advance(120)
        self.store(broker, "c", 2)
        for _ in range(3):
            self.settle(broker)
        self.verdict_is(broker, swept, ["c"], None)
        self.verdict_is(broker, Position(swept.key + 1, 7), ["c"], "forked")

    def test_below_the_tail_only_the_marks_decide(self) -> None:
        broker = self.open(history_seconds=60, history_channels={"long:": [10, 100]})
        birth = broker.head()
        swept = self.store(broker, "c", 1, 2)
        self.clock.advance(120)
        self.store(broker, "c", 3)
        for _ in range(3):
            self.settle(broker)
        self.verdict_is(broker, birth, ["c"], "trimmed")
        self.verdict_is(broker, swept[0], ["c"], "trimmed")
        self.verdict_is(broker, swept[1], ["c"], None)
