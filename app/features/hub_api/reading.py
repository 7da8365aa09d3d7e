"""From the body of a request to events."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from ...flask_simulcast import IdempotencyKey
from ...web import body
from ...web.errors import ApiError
from .schemas import Draft, Event, Events, PublishedTo

_LINE = re.compile(rb"\S[^\n]*")  # one that is not blank
# How many times its size an event may have as it was sent: with each letter written as \uXXXX, and spaces between.
_AS_SENT = 2


class _EventOutline(Event):
    """An event whose data and list of channels are not parsed yet."""

    data: msgspec.Raw
    channels: msgspec.Raw | UnsetType = UNSET  # type: ignore[assignment]  # a list once it is filled in


class _DraftOutline(Draft):
    """The same for a draft."""

    data: msgspec.Raw


_names = msgspec.json.Decoder(list[PublishedTo])
_events, _event, _draft = (msgspec.json.Decoder(kind) for kind in (Events, Event, Draft))
_events_outline, _event_outline, _draft_outline = (
    msgspec.json.Decoder(kind) for kind in (_EventOutline | list[_EventOutline], _EventOutline, _DraftOutline)
)

# How msgspec says where: "Expected `str`, got `int` - at `$[1].channel`".
_WRONG = re.compile(r"(.*?)(?: - at `\$(?:\[(\d+)\])?\.?(\w*).*`)?", re.DOTALL)
_FIELDS = "channel or channels, data"
_CODES = {
    "channel": "channel_name",
    "channels": "channel_name",
    "type": "event_type",
    "data": "event_data",
    "idempotency_key": "idempotency_key",
}


class Bounds(NamedTuple):
    """What a body may hold.

    Attributes:
        events: Of one request; one for several channels counts for each.
        event_bytes: Of one event's data as JSON; it may be sent in up to twice as many.
        copied_bytes: Of data that those for several channels may make. The body's own limit bounds the others: without this
            one, 64 KiB for a thousand channels are 64 MiB in the log, and hold the worker up for a quarter of a second.
    """

    events: int
    event_bytes: int
    copied_bytes: int


def read_events(
    text: bytes, mimetype: str, key: str | None, bounds: Bounds, breathe: Callable[[], object]
) -> list[Event]:
    """Read one event, an array of them, or one a line. May switch.

    Args:
        text: The body.
        mimetype: ``application/x-ndjson``, or another of its names, for lines; all else is taken as JSON.
        key: The idempotency key of the header, for a single event; None without one.
        bounds: What is refused before it is parsed.
        breathe: Called between events: a body of 4 MB is parsed for longer than others should wait.

    Raises:
        ApiError: 400, naming the first that is wrong; 413 for too many.
    """
    text = text.removeprefix(BOM_UTF8)  # RFC 8259, 8.1: may be ignored
    events = _outlines_of_lines(text, bounds.events) if mimetype in body.LINES else _outlines(text, bounds.events)
    if not events:
        raise ApiError(400, "no_events", "The body has no event. Send an object, an array of them, or one a line.")
    copied = [event for event in events if event.channels is not UNSET]
    if len(events) - len(copied) + sum(map(_channel_count, copied)) > bounds.events:
        raise _too_many(bounds.events)
    for number, event in enumerate(events):
        if number:
            breathe()
        if event.channels is not UNSET:
            _fill_in_channels(event, number)
        if (event.channel is UNSET) == (event.channels is UNSET):
            raise ApiError(
                400,
                "invalid_event",
                f"Event {number} must have either channel or channels. Send one of the two, and data.",
            )
        _fill_in_data(event, f"Event {number}", bounds.event_bytes)
    copied_bytes = sum(map(_stored_bytes, copied))
    if copied_bytes > bounds.copied_bytes:
        raise ApiError(
            413,
            "too_many_bytes",
            f"An event is stored in each of its channels: that makes {copied_bytes} bytes, and {bounds.copied_bytes} are allowed. "
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


def read_draft(text: bytes, key: str | None, event_bytes: int) -> Draft:
    """Read an event for the receiver that the route names.

    Args:
        event_bytes: As of `Bounds`.

    Raises:
        ApiError: 400; 413.
    """
    try:
        draft: Draft = _outline(text.removeprefix(BOM_UTF8), _draft_outline, _draft)
    except msgspec.ValidationError as error:
        raise _invalid(error, "data") from None
    _fill_in_data(draft, "The event", event_bytes)
    if key is not None:
        draft.idempotency_key = _one_key(draft.idempotency_key, key)
    return draft


def _outlines_of_lines(text: bytes, limit: int) -> list[Event]:
    lines = [found.group() for found in islice(_LINE.finditer(text), limit + 1)]
    if len(lines) > limit:
        raise _too_many(limit)
    return [_outline_of(line, number) for number, line in enumerate(lines)]


def _outline_of(line: bytes, number: int) -> Event:
    try:
        event: Event = _outline(line, _event_outline, _event)
    except msgspec.ValidationError as error:
        raise _invalid(error, _FIELDS, number) from None
    return event


def _outlines(text: bytes, limit: int) -> list[Event]:
    if _is_array_of_more(text, limit):
        raise _too_many(limit)
    try:
        given = _outline(text, _events_outline, _events)
    except msgspec.ValidationError as error:
        raise _invalid(error, _FIELDS) from None
    return given if isinstance(given, list) else [given]


def _is_array_of_more(text: bytes, limit: int) -> bool:
    """Tell whether there are more events than the limit, without making them: 160 000 events take 50 ms to make."""
    if text.count(b",") < limit or not text.lstrip().startswith(b"["):
        return False
    try:
        _array_of_at_most(limit).decode(text)
    except msgspec.ValidationError:
        return True
    except (msgspec.DecodeError, RecursionError):
        pass  # not JSON, or nested too deep: the parser finds it again, and says so
    return False


@cache
def _array_of_at_most(limit: int) -> msgspec.json.Decoder[msgspec.Struct]:
    """Return a decoder that stops at the first item beyond the limit. A decoder of lists makes all items before it counts."""
    items = [(f"item{number}", msgspec.Raw | UnsetType, UNSET) for number in range(limit)]
    return msgspec.json.Decoder(msgspec.defstruct("Array", items, array_like=True, forbid_unknown_fields=True))


def _outline(text: bytes, outline: msgspec.json.Decoder[Any], whole: msgspec.json.Decoder[Any]) -> Any:
    """Parse everything but the data, in C: 3 ms for 4 MB. A small text that fails is parsed as a whole: that says where it is
    wrong, and accepts half a surrogate pair in the data."""
    try:
        text.decode()  # the outline skips over data without looking whether it is UTF-8
        return outline.decode(text)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if len(text) > body.MOST_BYTES_SLOWLY:
            raise body.not_json(error) from None
        return body.parse(text, whole)
    except RecursionError:
        return body.parse(text, whole)


def _channel_count(event: Event) -> int:
    """Count the channels that an event names, before they are parsed: no name has a comma in it."""
    if isinstance(event.channels, msgspec.Raw):
        return bytes(event.channels).count(b",") + 1
    return len(event.names)


def _fill_in_channels(event: Event, number: int) -> None:
    if isinstance(event.channels, msgspec.Raw):
        try:
            event.channels = _names.decode(event.channels)
        except msgspec.ValidationError as error:
            raise _invalid(error, _FIELDS, number, "channels") from None


def _fill_in_data(event: Event | Draft, what: str, event_bytes: int) -> None:
    """Parse the data of one event, after a look at its size."""
    if not isinstance(event.data, msgspec.Raw):
        return
    size = len(bytes(event.data))
    if size > _AS_SENT * event_bytes:
        raise ApiError(
            413,
            "event_too_large",
            f"{what} has {size} bytes of data, and {event_bytes} are allowed. Send a reference to it.",
        )
    try:
        event.data = msgspec.json.decode(event.data)
    except RecursionError:
        raise ApiError(400, "not_json", f"{what}: the data is nested too deep. Send flatter JSON.") from None
    except msgspec.DecodeError as error:
        raise ApiError(
            400, "event_data", f"{what}, data: {str(error)[:200]}. Send JSON; a number of at most 4300 digits."
        ) from None


def names_of(events: Iterable[Event]) -> set[str]:
    """Return all channels that these events name, each once."""
    names: set[str] = set()
    for event in events:
        if event.channel is not UNSET:
            names.add(event.channel)
        else:
            names.update(event.names)
    return names


def count_of(events: Iterable[Event]) -> int:
    """Return the number of events that the log will store: one for each channel of each event."""
    return sum([1 if event.channels is UNSET else len(event.channels) for event in events])


def options_of(event: Event | Draft, sender: str) -> dict[str, Any]:
    """Type and key of an event, as the extension takes them.

    Args:
        sender: Whose the key is.
    """
    options: dict[str, Any] = {"type": event.type}
    if event.idempotency_key is not UNSET:
        options["idempotency_key"] = IdempotencyKey(event.idempotency_key, sender)
    return options


def as_mapping(event: Event, sender: str) -> dict[str, Any]:
    """Return an event as a mapping for `publish_many`."""
    mapping = options_of(event, sender)
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


def _too_many(limit: int) -> ApiError:
    return ApiError(413, "too_many_events", f"The body has more than {limit} events. Send fewer.")


def _invalid(error: msgspec.ValidationError, fields: str, number: int | None = None, field: str = "") -> ApiError:
    """Return the error for msgspec's message, with the number of the event and a code for the field, unless they are given."""
    match = _WRONG.fullmatch(str(error))
    assert match is not None
    what, found_number, found_field = match.groups()
    number, field = int(found_number or 0) if number is None else number, field or found_field or ""
    where = f"Event {number}" + (f", {field}" if field else "")
    return ApiError(
        400,
        _CODES.get(field, "invalid_event"),
        f"{where}: {what[:200]}. An event has {fields} and, if wanted, type and idempotency_key.",
    )
