"""From the body of a request to events."""

from __future__ import annotations

from typing import Any

from ..body import parse_json
from ..errors import ApiError

_FIELDS = frozenset({"channel", "data", "type", "idempotency_key"})
NDJSON = "application/x-ndjson"


def read_events(body: bytes, mimetype: str, *, most: int) -> list[dict[str, Any]]:
    """Read one event, an array of them, or one a line.

    Args:
        body: Of the request.
        mimetype: ``application/x-ndjson`` for lines; all else is taken as JSON.
        most: Events that one request may have.

    Raises:
        ApiError: 400, naming the first that is wrong; 413 for too many.
    """
    if mimetype == NDJSON:
        values = [parse_json(line) for line in body.split(b"\n") if line.strip()]
    else:
        value = parse_json(body)
        values = value if isinstance(value, list) else [value]
    if not values:
        raise ApiError(400, "no_events", "The body has no event. Send an object, an array of them, or one a line.")
    if len(values) > most:
        raise ApiError(
            413, "too_many_events", f"The body has {len(values)} events, and {most} are allowed. Send fewer."
        )
    for number, value in enumerate(values):
        _check(value, number)
    return values


def _check(value: Any, number: int) -> None:
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_event", f"Event {number} is not an object. Send channel and data.")
    unknown = value.keys() - _FIELDS
    if unknown:
        raise ApiError(
            400,
            "invalid_event",
            f"Event {number} has the field {min(unknown)[:64]!a}. Use {', '.join(sorted(_FIELDS))}.",
        )
    for field in ("channel", "data"):
        if field not in value:
            raise ApiError(400, "invalid_event", f"Event {number} has no {field}. Send channel and data.")
