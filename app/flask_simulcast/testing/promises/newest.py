"""The promises of a log to a new listener, and about channels that it forgets."""

from __future__ import annotations

import random

from ...brokers.base import Broker
from ...event import Draft, Position
from .broker_case import BrokerCase


class NewestPromises(BrokerCase):
    """The beginning of a replay, and the marks of forgotten channels."""

    def newest_is(self, broker: Broker, channels: list[str], count: int, expected: list[str]) -> Position:
        """Ask for the start of a replay, and compare the events after it. Nothing must be missing after it."""
        position = broker.newest(channels, count)
        assert self.data_of(broker, *channels, after=position) == expected
        self.verdict_is(broker, position, channels, None)
        return position

    def test_a_replay_has_the_newest_events_of_its_channels(self) -> None:
        broker = self.open()
        self.store(broker, "a", 1, 2)
        self.store(broker, "b", 3, 4)
        self.store(broker, "other", *range(9))
        self.store(broker, "a", 5)
        for count, expected in (
            (1, "5"),
            (2, "45"),
            (3, "345"),
            (4, "2345"),
            (5, "12345"),
            (6, "12345"),
            (999, "12345"),
        ):
            self.newest_is(broker, ["a", "b"], count, list(expected))
            self.newest_is(broker, ["b", "never", "a", "b"], count, list(expected))
        self.newest_is(broker, ["a"], 2, ["2", "5"])

    def test_a_replay_of_nothing_begins_at_the_head(self) -> None:
        broker = self.open()
        assert broker.newest(["c"], 10) == broker.head()
        self.store(broker, "other", 1)
        last = self.store(broker, "c", 2)[0]
        assert broker.newest(["c"], 0) == broker.newest(["never"], 10) == broker.newest([], 10) == last == broker.head()

    def test_a_replay_of_all_begins_right_before_the_first(self) -> None:
        broker = self.open()
        birth = broker.head()
        self.store(broker, "c", 1, 2)
        assert self.newest_is(broker, ["c"], 9, ["1", "2"]) == birth

    def test_a_replay_has_what_trimming_left(self) -> None:
        broker = self.open(history_events=3)
        self.store(broker, "c", *range(8))
        self.settle(broker)
        self.newest_is(broker, ["c"], 2, ["6", "7"])
        self.newest_is(broker, ["c"], 9, ["5", "6", "7"])

    def test_a_replay_has_what_sweeping_left(self) -> None:
        broker = self.open(history_seconds=60)
        self.store(broker, "c", 1, 2)
        self.clock.advance(120)
        self.store(broker, "c", 3, 4)
        for _ in range(3):
            self.settle(broker)
        self.newest_is(broker, ["c"], 1, ["4"])
        self.newest_is(broker, ["c"], 2, ["3", "4"])
        self.newest_is(broker, ["c"], 9, ["3", "4"])

    def test_a_replay_of_no_events_is_whole_even_after_everything_was_trimmed(self) -> None:
        broker = self.open(history_events=0)
        self.store(broker, "c", 1, 2)
        self.settle(broker)
        assert self.newest_is(broker, ["c"], 9, []) == broker.head()

    def test_a_replay_has_no_holes(self) -> None:
        broker = self.open(history_channels={"short:": [2, 3600]})
        self.store(broker, "long", "a")
        self.store(broker, "short:c", *range(5))
        self.store(broker, "long", "b")
        self.settle(broker)
        self.newest_is(broker, ["long"], 9, ["a", "b"])
        self.newest_is(broker, ["short:c"], 9, ["3", "4"])
        # Events between "a" and "3" were trimmed.
        self.newest_is(broker, ["long", "short:c"], 9, ["3", "4", "b"])

    def test_a_replay_is_whole_whatever_was_trimmed(self) -> None:
        dice = random.Random(4)
        channels = ["a", "b:x", "c:x", "all", "user:u"]
        broker = self.open(history_events=20, history_seconds=300, history_channels={"b:": [3, 60], "c:": [0, 30]})
        for _ in range(60):
            for _ in range(dice.choice((0, 1, 5))):
                channel = dice.choice(channels)
                broker.append([Draft(channel, "message", f'"{channel}"') for _ in range(dice.choice((1, 3)))])
            self.clock.advance(dice.choice((0, 1, 30)))
            broker.maintain()
            asked = dice.sample(channels, dice.randint(1, 4))
            count = dice.choice((0, 1, 2, 5, 100))
            position = broker.newest(asked, count)
            self.verdict_is(broker, position, asked, None)
            follows = [event.position for event in self.events_of(broker, *asked, after=position)]
            assert len(follows) <= count
            kept = [event.position for event in self.events_of(broker, *asked)]
            assert follows == kept[len(kept) - len(follows) :]

    # Marks of forgotten channels

    def forget(self, broker: Broker, *channels: str) -> Position:
        """Append an event to these channels, then let time pass until they are forgotten. Returns the head before the events."""
        before = broker.head()
        for channel in channels:
            self.store(broker, channel, "x")
        for _ in range(4):
            self.clock.advance(100)
            self.store(broker, "alive", "x")
            self.settle(broker)
            self.clock.advance(30)
        return before

    def test_a_forgotten_channel_makes_no_gap_for_users(self) -> None:
        broker = self.open(history_seconds=100)
        before = self.forget(broker, "gone", "presence:gone")
        self.verdict_is(broker, before, ["gone"], "trimmed")
        self.verdict_is(broker, before, ["user:ann", "listener:abc", "all"], None)
        assert broker.page(["user:ann", "listener:abc", "all"], before, broker.head(), 1000).marks == {}

    def test_a_forgotten_user_makes_no_gap_for_channels(self) -> None:
        broker = self.open(history_seconds=100)
        before = self.forget(broker, "user:ann", "listener:abc")
        self.verdict_is(broker, before, ["user:ann"], "trimmed")
        self.verdict_is(broker, before, ["listener:abc"], "trimmed")
        self.verdict_is(broker, before, ["quiet", "presence:quiet", "all"], None)
        assert broker.page(["quiet", "all"], before, broker.head(), 1000).marks == {}

    def test_what_was_sent_to_all_is_never_forgotten(self) -> None:
        broker = self.open(history_seconds=100)
        before = self.forget(broker, "all")
        verdict = self.verdict_is(broker, before, ["user:ann", "all", "quiet"], "trimmed")
        assert verdict.channels == ("all",)
        self.verdict_is(broker, verdict.to, ["all"], None)
