"""Encode each event as one line of JSON: ``{"id", "channel", "type", "time", "data"}``. For programs, not for browsers.

The ``data`` of a raw event is a string, and ``"raw":true`` follows it.

Source: the NDJSON note, version 1. The media type is not registered, but clients use it.
"""

from __future__ import annotations

import json

from ..data import data_members
from ..event import Event
from . import Encoding

_quote = json.encoder.encode_basestring_ascii


def encode(event: Event) -> bytes:
    """Turn an event into one line. ``data`` is JSON already and is put in as it is."""
    return (
        f'{{"id":"{event.position}","channel":{_quote(event.channel)},"type":{_quote(event.type)},'
        f'"time":{event.time_ms},{_one_line(data_members(event.data))}}}\n'
    ).encode()


def encode_notice(type: str, data: str, id: str) -> bytes:
    """Turn a message of the hub into one line; an empty id is left out."""
    field = f'"id":{_quote(id)},' if id else ""
    return f'{{{field}"type":{_quote(type)},{_one_line(data_members(data))}}}\n'.encode()


def encode_comment() -> bytes:
    """Return an empty line, which NDJSON readers skip."""
    return b"\n"


def encode_retry(milliseconds: int) -> bytes:
    """Return nothing: an NDJSON client decides itself when it reconnects."""
    return b""


def _one_line(data: str) -> str:
    """Replace line ends by spaces. JSON allows line ends only between its tokens, so the value stays the same."""
    if "\n" in data or "\r" in data:
        return data.replace("\r", " ").replace("\n", " ")
    return data


NDJSON = Encoding(
    name="ndjson",
    content_type="application/x-ndjson; charset=utf-8",
    event=encode,
    notice=encode_notice,
    comment=encode_comment,
    retry=encode_retry,
)
