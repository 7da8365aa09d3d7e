"""Events as messages of ``Subscribe``, and ends of calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.data import encode_data
from app.flask_simulcast.encoding.rpc.codes import CallError, Code
from app.flask_simulcast.encoding.rpc.dialect import HEAD, OF_STREAMS
from app.flask_simulcast.encoding.rpc.subscribed import ENCODINGS
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.flask_simulcast.transports.goodbye import closed_data
from tests.unit.encoding.events import POSITION, TEXT, TYPES, event

GRPC_WEB = "application/grpc-web+proto"


def opened(frame: bytes) -> tuple[int, bytes]:
    flags, size = HEAD.unpack(frame[: HEAD.size])
    assert size == len(frame) - HEAD.size
    return flags, frame[HEAD.size :]


@given(TEXT, TYPES)
def test_an_event_is_read_back_as_it_was(text: str, type: str) -> None:
    flags, data = opened(ENCODINGS[GRPC_WEB].event(event(encode_data(text), type)))
    read = pb.SubscribeResponse.FromString(data).event
    assert (flags, read.id, read.channel, read.type) == (0, str(POSITION), "c", type)
    assert json.loads(read.json) == text and read.time.ToMilliseconds() == POSITION.milliseconds


def test_an_event_has_the_same_bytes_in_all_protocols() -> None:
    one = event("7")
    frames = {name: one.frame(encoding.event) for name, encoding in ENCODINGS.items()}
    assert frames["application/connect+proto"] is frames[GRPC_WEB]
    assert json.loads(opened(frames["application/connect+json"])[1])["event"]["json"] == "7"


def test_raw_text_is_text() -> None:
    _, data = opened(ENCODINGS[GRPC_WEB].event(event(encode_data("<b>", raw=True))))
    assert pb.SubscribeResponse.FromString(data).event.text == "<b>"


@pytest.mark.parametrize("name", OF_STREAMS)
def test_a_message_of_the_hub_has_its_fields(name: str) -> None:
    encoding = ENCODINGS[name]
    gap = '{"reason":"trimmed","channels":["c"],"from":"1","to":"2"}'
    for type, data in (("connected", '{"listener":"l","channels":["c"]}'), ("heartbeat", "{}"), ("gap", gap)):
        flags, message = opened(encoding.notice(type, data, ""))
        read = (
            json.loads(message) if encoding.content_type.endswith("json") else pb.SubscribeResponse.FromString(message)
        )
        assert flags == 0 and (type in read if isinstance(read, dict) else read.HasField(type))
    assert opened(encoding.comment())[0] == 0
    assert opened(encoding.notice("snapshot", "[1]", "id"))[0] == 0


@pytest.mark.parametrize("reason", list(CloseReason))
def test_every_reason_has_a_code_and_a_client_that_may_return_is_told_so(reason: CloseReason) -> None:
    closed = closed_data(reason.value, reconnect=reason.reconnect)
    flags, trailers = opened(ENCODINGS[GRPC_WEB].notice("closed", closed, ""))
    code = Code(int(trailers.split(b"\r\n")[0].removeprefix(b"grpc-status: ")))
    assert flags == 0x80
    assert (code in (Code.OK, Code.UNAUTHENTICATED, Code.DEADLINE_EXCEEDED)) is not reason.reconnect
    flags, end = opened(ENCODINGS["application/connect+proto"].notice("closed", closed, ""))
    assert flags == 2 and (json.loads(end) == {} if code is Code.OK else json.loads(end)["error"]["code"] == code.text)


def test_a_message_can_stand_in_a_header() -> None:
    _, trailers = opened(OF_STREAMS[GRPC_WEB].end(CallError(Code.UNKNOWN, "50 %\r\ngrpc-status: 0 é")))
    assert trailers == b"grpc-status: 2\r\ngrpc-message: 50 %25%0D%0Agrpc-status: 0 %C3%A9\r\n"


def test_a_message_that_is_no_unicode_can_stand_there_too() -> None:
    _, trailers = opened(OF_STREAMS[GRPC_WEB].end(CallError(Code.UNKNOWN, "a\udcff")))
    assert trailers == b"grpc-status: 2\r\ngrpc-message: a?\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upper", "x"), ("", "x"), ("a b", "x"), ("a:", "x"), (":status", "200"), ("a\n", "x"), ("é", "x"), (7, "x"),
        ("grpc-status", "0"), ("grpc-message", "fine"), ("connection", "close"), ("content-length", "1"), ("te", "x"),
        ("a", "b\r\nc"), ("a", "b\n"), ("a", "\0"), ("a", " b"), ("a", "b "), ("a", "é"), ("a", 7), ("a", None),
        ("a-bin", "?"), ("a-bin", "A"), ("a-bin", "AA="), ("a-bin", b"x"),
    ],
)  # fmt: skip
def test_metadata_that_would_break_a_connection_is_refused(name: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="metadata"):
        CallError(Code.UNKNOWN, "", {"good": "x", name: value})


def test_metadata_stands_in_each_end_as_it_was() -> None:
    metadata = {"a_b-c.d": "~ x!", "empty": "", "a-bin": "AAE=", "b-bin": "AAE"}
    ending = CallError(Code.UNKNOWN, "", metadata)
    metadata["grpc-status"] = "0"
    lines = opened(OF_STREAMS[GRPC_WEB].end(ending))[1]
    assert lines == b"grpc-status: 2\r\na_b-c.d: ~ x!\r\nempty: \r\na-bin: AAE=\r\nb-bin: AAE\r\n"
    assert json.loads(opened(OF_STREAMS["application/connect+proto"].end(ending))[1])["metadata"]["a-bin"] == ["AAE="]
