"""Encode each event as one message of ``Subscribe`` and ``Connect``, in its envelope. The bytes are the same in all protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from google.protobuf.timestamp_pb2 import Timestamp

from ...data import text_of
from ...event import Event
from ...proto.simulcast.v1 import stream_pb2 as pb
from .. import Encoding
from .codec import JSON, PROTO, Codec
from .codes import ending_of
from .dialect import OF_STREAMS, Dialect, envelope


def _message_of(event: Event) -> pb.SubscribeResponse:
    time = Timestamp(seconds=event.time_ms // 1000, nanos=event.time_ms % 1000 * 1_000_000)
    written = pb.Event(id=str(event.position), channel=event.channel, type=event.type, time=time)
    _set_data(written, event.data)
    return pb.SubscribeResponse(event=written)


def _set_data(written: pb.Event, data: str) -> None:
    text = text_of(data)
    if text is data:
        written.json = text
    else:
        written.text = text


def _encoder(codec: Codec) -> Callable[[Event], bytes]:
    return lambda event: envelope(codec.encode(_message_of(event)))


def _notice(dialect: Dialect, type: str, data: str, id: str) -> bytes:
    """Turn a message of the hub into one message, and ``closed`` into the end of the call."""
    if type == "closed":
        return dialect.end(ending_of(json.loads(data)["reason"]))
    if type == "heartbeat":
        return dialect.frame(pb.SubscribeResponse(heartbeat=pb.Heartbeat(id=id)))
    if type == "connected":
        about = json.loads(data)
        connected = pb.Connected(id=id, listener=about["listener"], channels=about["channels"])
        return dialect.frame(pb.SubscribeResponse(connected=connected))
    if type == "gap":
        about = json.loads(data)
        gap = pb.Gap(reason=about["reason"], channels=about["channels"], from_id=about["from"], to_id=about["to"])
        return dialect.frame(pb.SubscribeResponse(gap=gap))
    written = pb.Event(id=id, type=type)
    _set_data(written, data)
    return dialect.frame(pb.SubscribeResponse(event=written))


def _notice_beside(dialect: Dialect, type: str, data: str, id: str) -> bytes:
    """Do the same for one of several listeners of a call, whose handler tells by itself where it begins."""
    return b"" if type == "connected" else _notice(dialect, type, data, id)


def _no_retry(milliseconds: int) -> bytes:
    """Return nothing: clients of these protocols have waits of their own."""
    return b""


_EVENTS = {
    codec: _encoder(codec) for codec in (PROTO, JSON)
}  # one function for each, so that protocols and calls share its bytes


def _encoding(dialect: Dialect, notice: Callable[[Dialect, str, str, str], bytes]) -> Encoding:
    return Encoding(
        name=dialect.protocol.name,
        content_type=dialect.content_type,
        event=_EVENTS[dialect.codec],
        notice=partial(notice, dialect),
        comment=partial(dialect.frame, pb.SubscribeResponse(heartbeat=pb.Heartbeat())),
        retry=_no_retry,
    )


#: The encoding of each dialect, by its content type, for ``Subscribe``.
ENCODINGS = {name: _encoding(dialect, _notice) for name, dialect in OF_STREAMS.items()}
#: The same for the listeners of a ``Connect``.
BESIDE = {name: _encoding(dialect, _notice_beside) for name, dialect in OF_STREAMS.items()}
