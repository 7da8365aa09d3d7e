"""The pure parts of the Python client: what is new, how long to wait, which URL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast import Position
from app.flask_simulcast.client import Backoff, ReceivedEvent
from app.flask_simulcast.client.address import Address
from app.flask_simulcast.client.backoff import retry_after_seconds
from app.flask_simulcast.client.event import received
from app.flask_simulcast.client.place import Place
from app.flask_simulcast.client.wire import Wire
from app.flask_simulcast.encoding.sse_reader import SSEEvent

P1, P2, P3 = (f"170000000000{n}-0-0000000{n}" for n in (1, 2, 3))


def at(position: str, type: str = "message", data: Any = None) -> ReceivedEvent:
    return ReceivedEvent(type, data, None, position)


def test_what_came_twice_is_dropped_and_the_position_is_that_of_the_last() -> None:
    place = Place()
    assert place.take(at(P1, "connected")) is not None
    assert [place.take(at(position)) is not None for position in (P2, P2, P1, P3, P2)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert place.position == P3


def test_after_a_gap_or_a_new_connection_the_server_says_where_the_stream_is() -> None:
    place = Place(P3)
    assert place.take(at("", "gap", {"reason": "forked"})) is not None
    assert place.position == P3
    assert place.take(at(P1, "connected")) is not None
    assert place.take(at(P2)) is not None


def test_a_heartbeat_moves_the_position_and_a_snapshot_in_parts_only_with_its_end() -> None:
    place = Place()
    place.take(at("", "connected", {"channels": ["orders"]}))
    assert place.take(at("", "snapshot", 1)) == at("", "snapshot", 1)
    assert place.position == ""
    assert place.take(at(P1, "snapshot", 2)) == at(P1, "snapshot", 2), "of no channel"
    place.take(at(P2, "heartbeat"))
    assert place.position == P2
    assert place.take(at(P3)) == ReceivedEvent("message", None, "orders", P3)


def test_ids_of_other_servers_have_no_order_and_none_is_dropped() -> None:
    place = Place()
    assert [place.take(at(id)) for id in ("9", "10", "10", "")] == [at("9"), at("10"), at("10"), at("")]
    assert place.position == "10"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"channels": 1}, {"channels": []}, {"channels": [None]}])
def test_what_another_server_calls_connected_harms_nothing(data: Any) -> None:
    place = Place()
    place.take(at(P1, "connected", data))
    assert place.take(at(P2)) is not None


@pytest.mark.parametrize(
    ("id", "text", "channel", "position", "data"),
    [
        (f"{P1}/orders", '{"id": 7}', "orders", P1, {"id": 7}),
        (f"{P1}/user:Zo%C3%AB/x", "<li>", "user:Zoë/x", P1, "<li>"),
        (P1, "1", None, P1, 1),
        ("a/b", "[" * 100_000, None, "a/b", "[" * 100_000),
        ("", "", None, "", ""),
    ],
)
def test_an_id_has_a_position_and_perhaps_a_channel(id: str, text: str, channel: Any, position: str, data: Any) -> None:
    event = received(SSEEvent("message", text, id), id)
    assert event == ReceivedEvent("message", data, channel, position)
    assert event.time_ms == (1700000000001 if position == P1 else None)


@given(st.text(), st.text(), st.text())
def test_any_event_is_understood(type: str, data: str, id: str) -> None:
    place = Place()
    place.take(received(SSEEvent(type, data, id), id))
    assert Position.parse(place.position) is None or place.position in id


def test_waits_are_a_random_part_of_a_time_that_doubles_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(most_seconds=8)
    for longest in (0.5, 1, 2, 4, 8, 8, 8):
        assert 0 <= backoff.wait() <= longest
    backoff.reset()
    assert backoff.wait() <= 0.5
    assert len({Backoff().wait() for _ in range(50)}) > 40


@given(st.floats(0, 300), st.integers(0, 100))
def test_a_wait_is_never_shorter_than_the_server_asked_for(asked: float, failures: int) -> None:
    backoff = Backoff()
    for _ in range(failures):
        backoff.wait()
    assert asked <= backoff.wait(asked) <= asked + 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("0", 0),
        ("17", 17),
        ("99999999999999999999", 300),
        ("-1", 0),
        ("soon", 0),
        ("٣", 0),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("Sun, 22 Nov 2026 10:00:00 GMT", 300),
        ("Sat, 21 Nov 99999999999999999999 10:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float) -> None:
    assert retry_after_seconds(text, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("url", "channels", "target"),
    [
        ("https://simulcast.example", ("a", "b"), "/api/v1/stream?channel=a&channel=b"),
        ("http://[::1]:8000/live/", ("user:Zoë",), "/live/api/v1/stream?channel=user%3AZo%C3%AB"),
        ("http://localhost/orders/stream?room=7", (), "/orders/stream?room=7"),
        ("http://localhost/x?key=1", ("a",), "/x/api/v1/stream?key=1&channel=a"),
        ("http://localhost", (), "/"),
    ],
)
def test_with_channels_the_url_is_that_of_the_service_else_that_of_the_stream(
    url: str, channels: tuple[str, ...], target: str
) -> None:
    assert Address.parse(url).stream(channels, 0) == target


def test_an_address_may_have_a_port() -> None:
    assert Address.parse("http://[::1]:8000/live/") == (False, "::1", 8000, "/live", "")
    assert Address.parse("https://simulcast.example").stream(("a",), 5).endswith("?channel=a&replay=5")


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_end_of_an_ipv6_address_is_no_port(scheme: str, port: int) -> None:
    http = Wire(Address.parse(f"{scheme}://[fe80::7]"))._http
    assert (http.host, http.port) == ("fe80::7", port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "simulcast.example",
        "ftp://x",
        "http://",
        "http://x#a",
        "http://u:p@x",
        "http://x:y",
        "http://x/a b",
        "http://ö",
        "http://a..b",
        f"http://{'a' * 64}.example",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|Port|port"):
        Address.parse(url)
