"""Events and notices as WebSocket text messages: whole frames, unmasked, read back by a parser that others wrote."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import Ping, TextMessage

from app.flask_simulcast.data import encode_data
from app.flask_simulcast.encoding import message
from app.flask_simulcast.event import Event, Position

POSITION = Position(5 << 20 | 3, 0x9F3A2C1B)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
TYPES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=20)


def read(frames: bytes) -> list[Any]:
    """The messages in these bytes; a ping is None."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frames)
    read: list[Any] = []
    text = ""
    for event in client.events():
        if isinstance(event, TextMessage):
            text += event.data
            if event.message_finished:
                read.append(json.loads(text))
                text = ""
        elif isinstance(event, Ping):
            read.append(None)
    assert not text
    return read


def test_an_event_is_exactly_these_bytes() -> None:
    frame = message.encode(Event(POSITION, "a", "created", '{"id":7}'))
    text = b'{"type":"event","channel":"a","event":"created","id":"5-3-9f3a2c1b","time":5,"data":{"id":7}}'
    assert frame == bytes([0x81, len(text)]) + text


@given(st.lists(st.tuples(TYPES, JSON), min_size=1, max_size=5))
def test_frames_in_a_row_are_read_as_they_were_written(events: list[tuple[str, Any]]) -> None:
    written = b"".join(message.encode(Event(POSITION, "a", type, encode_data(data))) for type, data in events)
    found = read(written)
    assert [(one["type"], one["event"], one["data"]) for one in found] == [("event", *each) for each in events]


@given(st.text())
def test_raw_text_is_a_string_that_says_so(text: str) -> None:
    data = encode_data(text, raw=True)
    [event, snapshot] = read(
        message.encode(Event(POSITION, "a", "t", data)) + message.encode_notice("snapshot", data, "7")
    )
    assert (event["data"], event["raw"], snapshot["data"], snapshot["raw"]) == (text, True, text, True)


def test_an_event_of_any_size_is_one_frame() -> None:
    for size in (0, 10, 50, 125, 126, 65_535, 65_536, 200_000):
        (found,) = read(message.encode(Event(POSITION, "a", "t", encode_data("x" * size))))
        assert len(found["data"]) == size


def test_what_the_hub_says_is_a_message_of_its_own_a_ping_or_nothing() -> None:
    notice = message.MESSAGES.notice
    assert notice("connected", '{"listener":"x"}', "1-0-00000000") == b""
    assert read(notice("heartbeat", '{"time":1}', "1-0-00000000") + message.MESSAGES.comment()) == [None, None]
    gap = {"reason": "trimmed", "channels": ["a"], "from": "x", "to": "y"}
    assert read(notice("gap", encode_data(gap), "")) == [{"type": "gap"} | gap]
    assert read(notice("snapshot", "[1]", "2-0-00000000") + notice("snapshot", "[1]", "")) == [
        {"type": "event", "event": "snapshot", "id": "2-0-00000000", "data": [1]},
        {"type": "event", "event": "snapshot", "data": [1]},
    ]
    assert message.MESSAGES.retry(2000) == b""
