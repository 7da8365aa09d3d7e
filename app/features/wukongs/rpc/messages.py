"""Statuses as messages, and the encoding of a watch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ....flask_simulcast import Encoding, Event
from ....flask_simulcast.rpc import ENCODINGS, OF_STREAMS, Dialect
from .. import service
from ..proto.wukongs.v1 import wukong_pb2 as pb


def wukong(status: Any) -> pb.Wukong:
    """Return a status as a message. What is none, because a backend may publish anything under this type, is its data alone."""
    try:
        seconds, ms = divmod(status["time"], 1000)
        return pb.Wukong(
            name=status["name"],
            kind=status["kind"],
            state=status["state"],
            time=Timestamp(seconds=seconds, nanos=ms * 1_000_000),
            data=as_json(status["data"]),
        )
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return pb.Wukong(data=as_json(status))


def as_json(value: object) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, separators=(",", ":"))


def only_statuses(event: Event) -> Event | None:
    """Drop what is no status: a watch also gets broadcasts. Pure."""
    return service.own(event) if event.type == service.STATUS else None


def _frame(dialect: Dialect, data: str) -> bytes:
    return dialect.frame(pb.WatchResponse(status=wukong(json.loads(data))))


def _notice(dialect: Dialect, other: Callable[[str, str, str], bytes], type: str, data: str, id: str) -> bytes:
    """Turn the snapshot into a status; the other messages of the hub are those of all calls."""
    return _frame(dialect, data) if type == service.STATUS else other(type, data, id)


def _encoding(dialect: Dialect, usual: Encoding) -> Encoding:
    return dataclasses.replace(
        usual,
        event=lambda event: _frame(dialect, event.data),
        notice=partial(_notice, dialect, usual.notice),
    )


#: The encoding of each dialect, by its content type.
WATCHES = {name: _encoding(dialect, ENCODINGS[name]) for name, dialect in OF_STREAMS.items()}
