"""The promises of a broker about the channels that there are."""

from __future__ import annotations

from ...brokers.base import MOST_COUNTED, ChannelSummary
from ...event import CONTROL, Draft
from .places import RegisterCase, place_of


class SummaryPromises(RegisterCase):
    """Channels with their events, times and places."""

    def test_a_channel_is_summed_up(self) -> None:
        broker = self.open()
        assert broker.channels("", 9) == []
        first_ms = self.clock.time_ms()
        self.store(broker, "b", 1)
        self.clock.advance(5)
        self.store(broker, "b", 2, 3)
        self.store(broker, "a", 1)
        last_ms = self.clock.time_ms()
        everything = [ChannelSummary("a", 1, last_ms, last_ms, 0), ChannelSummary("b", 3, first_ms, last_ms, 0)]
        for reader in (broker, self.open_other(broker)):
            assert reader.channels("", 9) == everything
            assert reader.channels("a", 9) == everything[1:]
            assert reader.channels("", 1) == everything[:1]
            assert reader.channels("b", 9) == reader.channels("", 0) == []

    def test_a_channel_with_a_place_alone_exists_until_the_place_is_swept(self) -> None:
        broker = self.open()
        self.store(broker, "b", 1)
        time_ms = self.clock.time_ms()
        places = [place_of("1", "", "a", "b"), place_of("2", "", "b")]
        self.begin(broker, "w", *places)
        assert broker.channels("", 9) == [ChannelSummary("a", 0, 0, 0, 1), ChannelSummary("b", 1, time_ms, time_ms, 2)]
        assert self.renew(broker, "w", gone=["1"])
        assert broker.channels("", 1) == [ChannelSummary("a", 0, 0, 0, 1)]
        self.pass_time(broker, 4)
        assert broker.channels("", 9) == [ChannelSummary("b", 1, time_ms, time_ms, 1)]

    def test_a_trimmed_channel_has_a_later_first_event_and_an_empty_one_is_gone(self) -> None:
        broker = self.open(history_events=1, history_channels={"gone.": [0, 0]})
        self.store(broker, "gone.1", 1)
        self.begin(broker, "w", place_of("1", "", "gone.2"))
        self.store(broker, "gone.2", 1)
        self.store(broker, "kept", 1)
        self.clock.advance(5)
        self.store(broker, "kept", 2)
        time_ms = self.clock.time_ms()
        self.settle(broker)
        assert broker.channels("k", 9) == [ChannelSummary("kept", 1, time_ms, time_ms, 0)]
        assert [summary.channel for summary in broker.channels("", 9)] == ["kept"]  # the lease ended meanwhile
        self.store(broker, "gone.1", 2)
        assert [summary.channel for summary in broker.channels("", 9)] == ["gone.1", "kept"]

    def test_channels_come_in_pages_and_by_their_prefix(self) -> None:
        broker = self.open()
        names = sorted(
            [*(f"chat.{n:03}" for n in range(250)), "Chat", "chat", "news", "presence:chat.000", "user:Zo\u00eb"]
        )
        broker.append([Draft(name, "message", "1") for name in reversed(names)])
        self.store(broker, CONTROL, 1)
        assert [summary.channel for summary in broker.channels("", 999)] == names
        after, pages = "", []
        while page := broker.channels(after, 100, prefix="chat."):
            after = page[-1].channel
            pages.append([summary.channel for summary in page])
        assert [len(page) for page in pages] == [100, 100, 50]
        assert [name for page in pages for name in page] == [name for name in names if name.startswith("chat.")]
        assert [summary.channel for summary in broker.channels("", 9, prefix="news")] == ["news"]
        assert broker.channels("", 9, prefix="chat.9") == broker.channels("news", 9, prefix="chat") == []

    def test_events_are_counted_up_to_a_bound(self) -> None:
        broker = self.open(history_events=MOST_COUNTED * 2)
        for _ in range(11):
            broker.append([Draft("c", "message", "1")] * 1000)
        assert [summary.events for summary in broker.channels("", 9)] == [MOST_COUNTED]
