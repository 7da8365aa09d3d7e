"""The newest events in memory: complete after one position, bounded."""

from __future__ import annotations

from app.flask_simulcast.event import Event, Position
from app.flask_simulcast.hub.ring import Ring


def position(n: int) -> Position:
    return Position(n, 0)


def events(*numbers: int, data: str = "1") -> list[Event]:
    return [Event(position(n), "ab"[n % 2], "message", data) for n in numbers]


def keys(ring: Ring, channels: str, after: int, up_to: int, most: int = 1000) -> list[int] | None:
    page = ring.page(list(channels), position(after), position(up_to), most)
    return None if page is None else [event.position.key for event in page.events]


def test_it_gives_the_events_of_the_channels_in_order_between_the_positions() -> None:
    ring = Ring(100, 10_000)
    ring.restart(position(0))
    ring.extend(events(*range(1, 11)))
    assert keys(ring, "ab", 3, 6) == [4, 5, 6]
    assert keys(ring, "a", 0, 10) == [2, 4, 6, 8, 10]
    assert keys(ring, "ab", 10, 10) == []
    page = ring.page(["x"], position(2), position(9), 10)
    assert page is not None
    assert (page.events, page.covered_to) == ([], position(9))


def test_a_page_is_cut_at_its_bound_after_at_least_one() -> None:
    ring = Ring(100, 10_000)
    ring.restart(position(0))
    ring.extend(events(*range(1, 11), data="xxxxx"))
    page = ring.page(["a", "b"], position(0), position(10), 12)
    assert page is not None
    assert ([event.position.key for event in page.events], page.covered_to) == ([1, 2], position(2))
    assert keys(ring, "ab", 0, 10, 1) == [1]


def test_it_says_when_it_does_not_reach_back() -> None:
    ring = Ring(8, 1 << 20)
    ring.restart(position(100))
    assert keys(ring, "ab", 99, 100) is None
    assert keys(ring, "ab", 100, 100) == []
    ring.extend(events(*range(101, 120)))
    assert keys(ring, "ab", 100, 119) is None
    assert keys(ring, "ab", 112, 119) == [113, 114, 115, 116, 117, 118, 119]
    ring.restart(position(200))
    assert keys(ring, "ab", 150, 200) is None


def test_it_is_bounded_in_bytes_and_may_keep_nothing() -> None:
    ring = Ring(1000, 2000)
    ring.restart(position(0))
    ring.extend(events(*range(1, 30), data="x" * 100))
    assert keys(ring, "ab", 28, 29) == [29]
    assert keys(ring, "ab", 10, 29) is None
    nothing = Ring(0, 2000)
    nothing.restart(position(0))
    nothing.extend(events(1, 2))
    assert keys(nothing, "ab", 0, 2) is None
    assert keys(nothing, "ab", 2, 2) == []
