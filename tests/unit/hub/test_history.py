"""A page of what channels have kept."""

from __future__ import annotations

from app.flask_simulcast.event import Position
from app.flask_simulcast.hub.history import History
from app.flask_simulcast.testing import FakeClock
from tests.unit.conftest import MakeHub
from tests.unit.readers import publish


def data(history: History) -> list[str]:
    return [event.data for event in history.events]


def test_the_newest_and_then_page_by_page_from_a_position(make_hub: MakeHub) -> None:
    hub = make_hub()
    positions = publish(hub, *range(10))
    publish(hub, "other", channel="d")
    newest = hub.history(("c",), None, 3)
    assert (data(newest), newest.gap, newest.has_more) == (["7", "8", "9"], None, False)
    page = hub.history(("c",), positions[3], 4)
    assert (data(page), page.has_more, str(page.position)) == (["4", "5", "6", "7"], True, positions[7])
    page = hub.history(("c",), str(page.position), 4)
    assert (data(page), page.has_more) == (["8", "9"], False)
    assert data(hub.history(("c",), str(page.position), 4)) == []
    assert data(hub.history(("c", "d"), None, 2)) == ["9", "other"]


def test_what_is_missing_is_said(make_hub: MakeHub, clock: FakeClock) -> None:
    hub = make_hub(history_events=2)
    first, *_ = publish(hub, *range(5))
    hub.broker.maintain()
    clock.advance(11)
    hub.broker.maintain()
    page = hub.history(("c",), first, 10)
    assert page.gap is not None
    assert (page.gap["reason"], page.gap["channels"], page.gap["from"]) == ("trimmed", ("c",), first)
    assert data(page) == ["3", "4"]
    for nonsense in ("x", "1-1-zzzzzzzz", ""):
        page = hub.history(("c",), nonsense, 10)
        assert page.gap is not None
        assert (page.gap["reason"], data(page)) == ("invalid", [])
    ahead = hub.history(("c",), str(Position(1 << 62, 1)), 10)
    assert ahead.gap is not None
    assert ahead.gap["reason"] == "lost"


def test_a_page_is_bounded_in_bytes(make_hub: MakeHub) -> None:
    hub = make_hub()
    publish(hub, *['"' + "x" * 60_000 + '"'] * 30)
    page = hub.history(("c",), None, 30)
    assert 17 <= len(page.events) <= 19
    assert page.has_more
    assert len(hub.history(("c",), str(page.position), 30).events) == 30 - len(page.events)
