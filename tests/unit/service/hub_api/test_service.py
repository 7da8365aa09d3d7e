"""How much a channel keeps, and that a page of its history says what is gone: the seed's HistorySize."""

from __future__ import annotations

import json

import msgspec
from markupsafe import Markup

from app.features.hub_api import service
from app.flask_simulcast.brokers.base import SETTLE_SECONDS
from app.flask_simulcast.data import encode_data
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.testing import FakeClock
from tests.unit.conftest import MakeHub


def page(hub: Hub, after: str | None, limit: int = 10) -> dict[str, object]:
    """As it goes over the wire."""
    read = hub.history(("news",), after, limit)
    return json.loads(msgspec.json.encode(service.history_page(read)))  # type: ignore[no-any-return]


def test_raw_data_is_a_string_that_says_so(make_hub: MakeHub) -> None:
    hub = make_hub()
    start = str(hub.position)
    hub.publish([Draft("news", "message", encode_data(data)) for data in (Markup("<b>"), "<b>")])
    events = page(hub, start)["events"]
    assert [(event["data"], event.get("raw")) for event in events] == [("<b>", True), ("<b>", None)]  # type: ignore[attr-defined]


def test_history_size_is_what_a_channel_keeps_and_what_is_gone_is_said(make_hub: MakeHub, clock: FakeClock) -> None:
    hub = make_hub(history_events=3)
    start = str(hub.position)
    events = hub.publish([Draft("news", "message", json.dumps({"n": n})) for n in range(6)])
    for _ in range(3):
        hub.broker.maintain()
        clock.advance(SETTLE_SECONDS)
    kept = page(hub, start)
    assert [event["data"] for event in kept["events"]] == [{"n": 3}, {"n": 4}, {"n": 5}]  # type: ignore[attr-defined]
    assert kept["gap"] == {"reason": "trimmed", "channels": ["news"], "from": start, "to": str(events[2].position)}
    assert (kept["position"], kept["has_more"]) == (str(hub.position), False)
    assert page(hub, str(events[2].position))["gap"] is None
    assert page(hub, None, limit=2)["events"] == kept["events"][1:]  # type: ignore[index]
    assert page(hub, start, limit=2)["has_more"] is True
