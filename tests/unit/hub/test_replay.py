"""Where a listener starts: with the newest events, or after what it has."""

from __future__ import annotations

import pytest

from tests.unit.conftest import MakeHub
from tests.unit.readers import Reader, publish, settle


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, ["3", "4"]), (99, ["0", "1", "2", "3", "4"])])
def test_a_new_listener_gets_as_many_of_the_newest_as_it_asks_for(
    make_hub: MakeHub, count: int, expected: list[str]
) -> None:
    hub = make_hub()
    publish(hub, *range(5))
    publish(hub, "other", channel="d")
    reader = Reader(hub, start=hub.replay.start(("c",), count))
    settle()
    publish(hub, "live")
    settle()
    assert reader.data == [*expected, "live"]
    reader.stop()


def test_a_channel_has_a_replay_of_its_own(make_hub: MakeHub) -> None:
    hub = make_hub(history_channels={"c": [100, 60, 3]}, replay_events=1)
    publish(hub, *range(5))
    publish(hub, "a", "b", channel="d")
    both = Reader(hub, "c", "d", start=hub.replay.start(("c", "d"), None))
    only = Reader(hub, "d", start=hub.replay.start(("d",), None))
    settle()
    assert both.data == ["2", "3", "4", "a", "b"], (
        "one position serves both: what came after it on the other comes along"
    )
    assert only.data == ["b"]
    both.stop()
    only.stop()


def test_one_who_dies_during_a_replay_goes_on_from_there(make_hub: MakeHub) -> None:
    hub = make_hub()
    publish(hub, *range(5))
    first = Reader(hub, start=hub.replay.start(("c",), 3))
    settle()
    connected = first.events[0]
    first.stop()
    again = Reader(hub, resume=connected.id)
    settle()
    assert [event.type for event in again.events] == ["connected", "message", "message", "message"], "and no gap"
    again.stop()
