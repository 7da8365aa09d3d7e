from __future__ import annotations

import json

import pytest

from app.features.completions import wire
from app.flask_simulcast import Event, Position

AT = Position(7 << 20, 1)


def event(type: str, data: object, channel: str = "run:chatcmpl-1") -> Event:
    return Event(AT, channel, type, json.dumps(data))


def test_chunk_is_sent_as_it_is_with_its_position() -> None:
    assert wire.OPENAI.event(event("message", {"a": 1})) == b'id: 7-0-00000001\ndata: {"a": 1}\n\n'


def test_complete_is_done_and_ends_an_event_source() -> None:
    assert wire.OPENAI.event(event("complete", {"usage": None})) == b"id: end\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    ("type", "data", "code"),
    [("failed", {"code": "worker_lost", "message": "Gone."}, "worker_lost"), ("cancelled", {}, "cancelled")],
)
def test_other_endings_are_errors(type: str, data: object, code: str) -> None:
    head, _, text = wire.OPENAI.event(event(type, data)).decode().partition("data: ")
    assert head == "id: end\nevent: error\n"
    assert json.loads(text)["error"]["code"] == code


def test_hub_says_nothing_but_why_a_stream_ends_early() -> None:
    assert wire.OPENAI.notice("connected", "{}", "7-0-00000001") == b""
    assert wire.OPENAI.retry(1000) == b""
    assert wire.OPENAI.notice("closed", '{"reason":"finished"}', "end") == b""
    assert b'"code":"draining"' in wire.OPENAI.notice("closed", '{"reason":"draining"}', "")
    assert wire.OPENAI.notice("gap", '{"reason":"trimmed"}', "").startswith(b"event: error\ndata: ")


def test_broadcast_is_not_taken_for_a_chunk() -> None:
    mine = event("message", {})
    assert wire.only_of_answer(mine) is mine
    assert wire.only_of_answer(event("message", {}, channel="all")) is None
