"""What is told in a room, as WebSocket messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.features.chat.frames import CHAT, encode_notice
from app.flask_simulcast import Event, Position


def read(frame: bytes) -> Any:
    """A short text frame."""
    assert frame[0] == 0x81
    assert frame[1] == len(frame) - 2 < 126
    return json.loads(frame[2:])


def test_the_fields_of_an_event_stand_beside_its_type() -> None:
    event = Event(Position.parse("5-0-0a0b0c0d") or Position(0, 0), "chatroom:a", "message", '{"user":"ann"}')
    assert read(CHAT.event(event)) == {"type": "message", "id": "5-0-0a0b0c0d", "user": "ann"}


def test_no_field_stands_for_the_type_or_the_position() -> None:
    frame = encode_notice("message", '{"type":"user-join","id":"9-0-00000000","user":"ann"}', "5-0-0a0b0c0d")
    assert read(frame) == {"type": "message", "id": "5-0-0a0b0c0d", "user": "ann"}


@pytest.mark.parametrize("data", ["7", '"text"', "[1]", "null"])
def test_what_is_no_object_stands_in_data(data: str) -> None:
    assert read(encode_notice("message", data, "")) == {"type": "message", "data": json.loads(data)}
