"""From the body of a request to events."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import UNSET

from .. import body
from ..errors import ApiError
from ..openapi.operation import NDJSON
from .schemas import Draft, Event, Events

_events = msgspec.json.Decoder(Events)
_event = msgspec.json.Decoder(Event)
_draft = msgspec.json.Decoder(Draft)

# How msgspec says where: "Expected `str`, got `int` - at `$[1].channel`".
_WRONG = re.compile(r"(.*?)(?: - at `\$(?:\[(\d+)\])?\.?(\w*).*`)?", re.DOTALL)
_CODES = {
    "channel": "channel_name",
    "channels": "channel_name",
    "type": "event_type",
    "data": "event_data",
    "idempotency_key": "idempotency_key",
}


def read_events(text: bytes, mimetype: str, key: str | None, *, most: int, most_bytes: int) -> list[Event]:
    """Read one event, an array of them, or one a line.

    Args:
        text: The body.
        mimetype: ``application/x-ndjson`` for lines; all else is taken as JSON.
        key: The idempotency key of the header, for a single event; None without one.
        most: Events that one request may have; one for several channels counts for each.
        most_bytes: Bytes of data that those for several channels may make. The body's own limit bounds the others: without
            this one, 64 KiB for a thousand channels are 64 MiB in the log, and hold the worker up for a quarter of a second.

    Raises:
        ApiError: 400, naming the first that is wrong; 413 for too many.
    """
    try:
        given = body.parse_lines(text, _event) if mimetype == NDJSON else body.parse(text, _events)
    except msgspec.ValidationError as error:
        raise _invalid(error, "channel or channels, data") from None
    events = given if isinstance(given, list) else [given]
    if not events:
        raise ApiError(400, "no_events", "The body has no event. Send an object, an array of them, or one a line.")
    count = 0
    for number, event in enumerate(events):
        if (event.channel is UNSET) == (event.channels is UNSET):
            raise ApiError(
                400,
                "invalid_event",
                f"Event {number} must have either channel or channels. Send one of the two, and data.",
            )
        count += 1 if event.channels is UNSET else len(event.channels)
    if count > most:
        raise ApiError(413, "too_many_events", f"The body has {count} events, and {most} are allowed. Send fewer.")
    copied = sum(_stored_bytes(event) for event in events if event.channels is not UNSET)
    if copied > most_bytes:
        raise ApiError(
            413,
            "too_many_bytes",
            f"An event is stored in each of its channels: that makes {copied} bytes, and {most_bytes} are allowed. "
            "Name fewer channels, or send a reference to the data.",
        )
    if key is not None:
        if len(events) > 1:
            raise ApiError(
                400,
                "idempotency_key",
                "The header Idempotency-Key is for a single event. Give each of several its own, as idempotency_key.",
            )
        events[0].idempotency_key = _one_key(events[0].idempotency_key, key)
    return events


def read_draft(text: bytes, key: str | None) -> Draft:
    """Read an event for whoever the route names.

    Raises:
        ApiError: 400.
    """
    try:
        draft = body.parse(text, _draft)
    except msgspec.ValidationError as error:
        raise _invalid(error, "data") from None
    if key is not None:
        draft.idempotency_key = _one_key(draft.idempotency_key, key)
    return draft


def options_of(event: Event | Draft) -> dict[str, Any]:
    """Type and key of an event, as the extension takes them."""
    options: dict[str, Any] = {"type": event.type}
    if event.idempotency_key is not UNSET:
        options["idempotency_key"] = event.idempotency_key
    return options


def as_mapping(event: Event) -> dict[str, Any]:
    """An event as the extension takes several."""
    mapping = options_of(event)
    mapping["data"] = event.data
    if event.channels is UNSET:
        mapping["channel"] = event.channel
    else:
        mapping["channels"] = event.channels
    return mapping


def _stored_bytes(event: Event) -> int:
    """About how many: escapes make it a little more."""
    try:
        return len(json.dumps(event.data)) * len(event.names)
    except RecursionError:
        return 0  # it will be refused when it is published


def _one_key(in_body: Any, in_header: str) -> str:
    if in_body is not UNSET and in_body != in_header:
        raise ApiError(
            400,
            "idempotency_key",
            "The header Idempotency-Key and idempotency_key in the body differ. Send one of them.",
        )
    return in_header


def _invalid(error: msgspec.ValidationError, fields: str) -> ApiError:
    """What msgspec says, with the number of the event and a code for the field."""
    match = _WRONG.fullmatch(str(error))
    assert match is not None
    what, number, field = match.groups()
    where = f"Event {number or 0}" + (f", {field}" if field else "")
    return ApiError(
        400,
        _CODES.get(field or "", "invalid_event"),
        f"{where}: {what[:200]}. An event has {fields} and, if wanted, type and idempotency_key.",
    )
