"""The view of the last hours, and times as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.features.usage.events import HOUR_MS, Within, time_text
from app.flask_simulcast import Event, Position

NOW_MS = 1_795_950_559_174
MILLISECONDS = st.integers(0, 4_000_000_000_000)


def event_of(*ages_hours: float, channel: str = "usage", type: str = "usage") -> Event:
    data = [{"id": n, "createdAt": time_text(round(NOW_MS - age * HOUR_MS))} for n, age in enumerate(ages_hours)]
    return Event(Position(NOW_MS << 20, 1), channel, type, json.dumps(data))


def test_a_view_keeps_the_records_of_its_hours() -> None:
    event = event_of(0, 1, 1.001, 2.5)
    seen = {hours: Within(hours)(event) for hours in (1, 2, 3)}
    assert {hours: [one["id"] for one in json.loads(one.data)] for hours, one in seen.items() if one} == {
        1: [0, 1],
        2: [0, 1, 2],
        3: [0, 1, 2, 3],
    }
    assert seen[3] is event
    assert Within(1)(event_of(5)) is None


def test_a_view_leaves_events_of_others_as_they_are() -> None:
    for event in (event_of(5, channel="all"), event_of(5, type="note")):
        assert Within(1)(event) is event


def test_listeners_of_equal_hours_share_their_bytes() -> None:
    assert Within(6) == Within(6)
    assert hash(Within(6)) == hash(Within(6))
    assert Within(6) != Within(7)


@given(MILLISECONDS, MILLISECONDS)
def test_times_as_text_have_the_order_of_the_times(one: int, other: int) -> None:
    assert (time_text(one) < time_text(other)) == (one < other)
    assert datetime.fromisoformat(time_text(one)) == datetime.fromtimestamp(one // 1000, UTC).replace(
        microsecond=one % 1000 * 1000
    )
