"""For tests, ours and yours: a clock that stands still, a reader of event streams, the promises of a broker.

Nothing here imports pytest: `BrokerContract` is a plain class that pytest collects through a subclass.
"""

from __future__ import annotations

import codecs
import secrets
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from .brokers.base import IDEMPOTENCY_SECONDS, MAX_LEASE_SECONDS, SETTLE_SECONDS, Broker, Clock, Page, Verdict
from .event import Draft, Event, Position, first_key_of
from .settings import Settings

_BEFORE_ALL = Position(0, 0)

__all__ = ["BrokerContract", "FakeClock", "SSEEvent", "SSEReader", "read_sse"]


class FakeClock(Clock):
    """Stands still until it is told to move.

    Args:
        time_ms: Unix time in ms at which it begins.
        monotonic: Seconds at which it begins.
    """

    def __init__(self, time_ms: int = 1_763_690_000_000, monotonic: float = 100_000.0) -> None:
        self._time_ms = time_ms
        self._monotonic = monotonic

    def time_ms(self) -> int:
        return self._time_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes, on both clocks."""
        self._monotonic += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self._time_ms += round(seconds * 1000)


class SSEEvent(NamedTuple):
    """An event as a browser dispatches it.

    Attributes:
        type: ``message`` where the stream gave none.
        data: Its lines, joined with LF.
        id: The last event id that the stream has set so far: an event without one has that of an earlier one.
    """

    type: str
    data: str
    id: str


class SSEReader:
    """Reads an event stream piece by piece, wherever it was cut.

    Source: WHATWG HTML, 9.2.6.

    Attributes:
        last_event_id: What a client would send when it reconnects.
        retry_ms: The last wait that the stream asked for.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_first = True
        self._line = ""
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """Take the next bytes; answer the events that they complete."""
        text = self._decoder.decode(chunk)
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines[0] = self._line + lines[0]
        self._line = lines.pop()
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> SSEEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SSEEvent | None:
        self.last_event_id = self._id
        type, data = self._type or "message", self._data
        self._type, self._data = "", []
        return SSEEvent(type, "\n".join(data), self._id) if data else None


def read_sse(stream: bytes | Iterable[bytes]) -> list[SSEEvent]:
    """The events of an event stream, given whole or in chunks. An event that is not finished does not count."""
    reader = SSEReader()
    chunks = [stream] if isinstance(stream, bytes) else stream
    return [event for chunk in chunks for event in reader.feed(chunk)]


class BrokerContract:
    """Every promise of `brokers.base.Broker` as a test. Inherit, and say how a broker is made::

        class TestMyBroker(BrokerContract):
            def make_broker(self, settings, clock):
                return MyBroker(settings, clock)

    pytest makes an object of the class for each test. Within one test `make_broker` may be called again, and
    must then open the same log, where ``is_shared`` is true. Run it in a process that is patched by gevent and in
    one that is not.

    Attributes:
        is_shared: Whether several brokers, of one process or of many, can be open on one log.
        clock: Of all brokers of the test.
    """

    is_shared = True
    clock: FakeClock
    _open: list[Broker]

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        """Open a log that is this test's own."""
        raise NotImplementedError("Say how a broker is made: def make_broker(self, settings, clock)")

    def setup_method(self) -> None:
        self.clock = FakeClock()
        self._open = []

    def teardown_method(self) -> None:
        for broker in self._open:
            broker.close()

    # Words that the promises are written in

    def open(self, **settings: Any) -> Broker:
        """A broker that is closed at the end of the test."""
        broker = self.make_broker(Settings(**settings), self.clock)
        self._open.append(broker)
        return broker

    def open_other(self, broker: Broker, **settings: Any) -> Broker:
        """A second one on the same log; the same one where a log can't be shared."""
        return self.open(**settings) if self.is_shared else broker

    def settle(self, broker: Broker) -> None:
        """Let what is in the log become old enough to be trimmed, and let it be trimmed."""
        broker.maintain()
        self.clock.advance(SETTLE_SECONDS + 1)
        broker.maintain()

    @staticmethod
    def store(broker: Broker, channel: str, *data: object) -> list[Position]:
        """Append these, one call each."""
        return [broker.append([Draft(channel, "message", f'"{value}"')])[0] for value in data]

    @staticmethod
    def events_of(broker: Broker, *channels: str, after: Position = _BEFORE_ALL) -> list[Event]:
        """All that history has, page by page."""
        events: list[Event] = []
        head = broker.head()
        while after.key < head.key:
            page = broker.page(sorted(channels), after, head, 64 << 10)
            events += page.events
            after = page.covered_to
        return events

    @classmethod
    def data_of(cls, broker: Broker, *channels: str, after: Position = _BEFORE_ALL) -> list[str]:
        """The same, as data without its quotes."""
        return [event.data.strip('"') for event in cls.events_of(broker, *channels, after=after)]

    @staticmethod
    def read_all(broker: Broker, after: Position) -> list[Event]:
        """As a pump reads."""
        events: list[Event] = []
        while batch := broker.read(after).events:
            events += batch
            after = batch[-1].position
        return events

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
        assert broker.read(birth) == ([], False)
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

    def test_a_batch_of_nothing_is_nothing(self) -> None:
        broker = self.open()
        birth = broker.head()
        assert broker.append([]) == []
        assert broker.head() == birth

    def test_data_comes_back_as_it_was(self) -> None:
        broker = self.open()
        texts = ['"\u2028 \u0085 \u00e9 \u4e2d \U0001f600"', '"\\u0000 \\ud800"', '"\'; DROP TABLE events; --"', "1.50"]
        texts += ['"' + "\u4e2d" * 20_000 + '"', '{"a":"\\"\\\\"}']
        for copies in (1, 50):  # small batches and large ones may be stored in different ways
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

    # Idempotency keys

    def test_a_known_key_answers_its_old_position(self) -> None:
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        self.store(broker, "c", 2)
        assert broker.append([Draft("c", "message", "3", "k")]) == first
        assert self.data_of(broker, "c") == ["1", "2"]

    def test_a_key_is_known_within_its_own_batch(self) -> None:
        broker = self.open()
        for copies in (1, 100):
            drafts = [Draft("c", "message", str(n), f"{copies}-{n // 2}") for n in range(2 * copies)]
            positions = broker.append(drafts)
            assert positions[::2] == positions[1::2]
            assert len(set(positions)) == copies
            assert broker.append(drafts) == positions
        assert len(self.events_of(broker, "c")) == 101

    def test_a_key_is_known_to_every_broker_of_the_log(self) -> None:
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        assert self.open_other(broker).append([Draft("c", "message", "1", "k")]) == first

    def test_a_key_is_known_for_300_seconds(self) -> None:
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        broker.maintain()
        self.clock.advance(IDEMPOTENCY_SECONDS - 1)
        broker.maintain()
        assert broker.append([Draft("c", "message", "1", "k")]) == first
        self.clock.advance(2)
        broker.maintain()
        assert broker.append([Draft("c", "message", "1", "k")])[0].key > first[0].key

    def test_a_key_stays_known_when_the_clock_jumps(self) -> None:
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        for seconds in (-7200, 10_800):
            self.clock.jump(seconds)
            self.settle(broker)
            assert broker.append([Draft("c", "message", "1", "k")]) == first

    def test_a_key_is_forgotten_in_time_when_the_clock_was_set_back(self) -> None:
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        self.clock.jump(-86400)
        broker.maintain()
        self.clock.advance(IDEMPOTENCY_SECONDS + 1)
        broker.maintain()
        assert broker.append([Draft("c", "message", "1", "k")])[0].key > first[0].key

    def test_a_key_outlives_its_event(self) -> None:
        broker = self.open(history_events=0)
        first = broker.append([Draft("c", "message", "1", "k")])
        self.settle(broker)
        assert self.events_of(broker, "c") == []
        assert broker.append([Draft("c", "message", "1", "k")]) == first

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
        assert broker.read(broker.head()) == ([], False)

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

    def test_a_page_has_one_event_that_is_larger_than_it(self) -> None:
        broker = self.open()
        start = broker.head()
        first, second = self.store(broker, "c", "x" * 500, "y" * 500)
        page = broker.page(["c"], start, broker.head(), 10)
        assert ([event.position for event in page.events], page.covered_to) == ([first], first)
        assert broker.page(["c"], first, broker.head(), 10).covered_to == second

    def test_a_page_covers_also_where_it_has_nothing(self) -> None:
        broker = self.open()
        start = broker.head()
        up_to = self.store(broker, "other", 1, 2)[1]
        assert broker.page(["c"], start, up_to, 100) == Page([], up_to, {})

    def test_a_page_ends_where_it_was_asked_to(self) -> None:
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

    def test_nothing_younger_than_ten_seconds_is_trimmed(self) -> None:
        broker = self.open(history_events=0, history_seconds=0, history_bytes=1 << 20)
        broker.maintain()
        self.store(broker, "c", *("x" * 60_000 for _ in range(25)))
        for _ in range(3):
            broker.maintain()
            self.clock.advance(SETTLE_SECONDS / 4)
        assert len(self.events_of(broker, "c")) == 25

    def test_nothing_young_is_trimmed_when_the_clock_jumps_an_hour_ahead(self) -> None:
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

    def test_the_bound_in_bytes_leaves_what_fits(self) -> None:
        broker = self.open(history_bytes=2 << 20)
        for n in range(80):
            self.store(broker, "c", str(n % 10) * 32_000)
        self.settle(broker)
        assert sum(len(event.data) for event in self.events_of(broker, "c")) > 1 << 20

    # Verdicts

    def verdict_is(self, broker: Broker, position: Position, channels: Iterable[str], reason: str | None) -> Verdict:
        """Ask, and compare the reason."""
        verdict = broker.verdict(position, tuple(channels))
        assert verdict.reason == reason
        return verdict

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

    def test_trimmed_is_silent_for_others_and_for_those_who_have_it(self) -> None:
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

    def test_lost_is_told_to_who_comes_from_before_the_birth(self) -> None:
        broker = self.open()
        birth = broker.head()
        self.store(broker, "c", 1)
        old = Position(birth.key - 1, 7)
        assert self.verdict_is(broker, old, ["c", "d"], "lost") == Verdict("lost", ("c", "d"), birth, birth)
        self.verdict_is(broker, birth, ["c", "d"], None)

    def test_lost_is_told_to_who_is_ahead_of_the_log(self) -> None:
        broker = self.open()
        head = self.store(broker, "c", 1)[0]
        for key in (head.key + 1, first_key_of(self.clock.time_ms() + 1), (1 << 63) - 1):
            assert self.verdict_is(broker, Position(key, head.tag), ["c"], "lost") == Verdict(
                "lost", ("c",), head, head
            )
        self.verdict_is(broker, head, ["c"], None)

    def test_forked_is_told_where_the_number_has_another_tag(self) -> None:
        broker = self.open()
        positions = self.store(broker, "c", 1, 2, 3)
        for position in positions:
            other = Position(position.key, position.tag ^ 1)
            assert self.verdict_is(broker, other, ["c"], "forked") == Verdict("forked", ("c",), other, other)
            self.verdict_is(broker, position, ["c"], None)

    def test_forked_is_told_where_the_number_was_never_given_out(self) -> None:
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

    def test_below_the_tail_the_marks_alone_decide(self) -> None:
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

    # Hints

    def test_waiting_ends_when_another_one_appends(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        broker.wait(0)
        is_over = threading.Event()

        def append_now_and_then() -> None:
            while not is_over.wait(0.02):
                self.store(other, "c", 1)

        thread = threading.Thread(target=append_now_and_then)
        thread.start()
        try:
            for _ in range(3):
                began = time.monotonic()
                broker.wait(30)
                assert time.monotonic() - began < 10
        finally:
            is_over.set()
            thread.join()

    def test_waiting_ends_after_its_time(self) -> None:
        self.open().wait(0.01)

    # Leases

    def test_a_lease_has_one_holder(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        assert broker.hold_lease("job", "a", 10)
        assert not other.hold_lease("job", "b", 10)
        assert broker.hold_lease("job", "a", 10)
        assert other.hold_lease("another job", "b", 10)

    def test_a_lease_that_is_renewed_does_not_end(self) -> None:
        broker = self.open()
        for _ in range(20):
            assert broker.hold_lease("job", "a", 10)
            self.clock.advance(4)
            assert not broker.hold_lease("job", "b", 10)

    def test_a_lease_ends_by_the_monotonic_clock(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 10)
        self.clock.jump(3600)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.jump(-7200)
        self.clock.advance(9)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.advance(1.5)
        assert broker.hold_lease("job", "b", 10)
        assert not broker.hold_lease("job", "a", 10)

    def test_a_lease_that_is_released_is_free(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 10)
        broker.release_lease("job", "b")
        assert not broker.hold_lease("job", "b", 10)
        broker.release_lease("job", "a")
        assert broker.hold_lease("job", "b", 10)
        broker.release_lease("never held", "a")

    def test_a_lease_lasts_a_minute_at_most(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 3600)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.advance(MAX_LEASE_SECONDS + 1)
        assert broker.hold_lease("job", "b", 10)

    # Upkeep

    def test_maintaining_an_empty_log_does_nothing(self) -> None:
        broker = self.open()
        birth = broker.head()
        for _ in range(3):
            self.settle(broker)
        assert broker.head() == birth
        assert broker.read(birth) == ([], False)
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
