"""``/usage``: record, list, sum up, and stream. And the page that shows it."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, request

from ...extensions import simulcast
from ...identity.rights import Listen, Publish, Subscribe
from ...identity.sender import current_sender
from ...web import body as bodies
from ...web.api import Api
from ...web.body import JSON, LINES, NDJSON, Body
from ...web.errors import ApiError
from ...web.here import this_app
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import events, schemas, service
from . import sources as polled

api = Api("usage", __name__)
page = Blueprint("usage_page", __name__)

# More than any record has, even with each character of its model escaped.
_RECORD_BYTES = 1024
_record, _records = msgspec.json.Decoder(schemas.Record), msgspec.json.Decoder(schemas.Record | list[schemas.Record])


@page.get("/usage")
def index() -> Response:
    """Return the page that shows records as they come."""
    return as_page("usage.html")


def _read(text: bytes) -> list[schemas.Record]:
    """Read one record, an array of them, or one a line."""
    try:
        if request.mimetype in LINES:
            records = [_read_line(*item) for item in enumerate(text.splitlines(), 1) if item[1].strip()]
        else:
            given = bodies.parse(text, _records)
            records = given if isinstance(given, list) else [given]
    except msgspec.ValidationError as error:
        raise ApiError(
            400,
            "invalid_usage",
            f'{str(error)[:200]}. Send for example {{"creditsUsed": 12, "model": "sonnet"}}.',
        ) from None
    if not records:
        raise ApiError(400, "no_records", "The body has no record. Send an object, an array of them, or one a line.")
    for record in records:
        _check_name(record.model)
    if len(records) > _most():
        raise ApiError(413, "too_many_records", f"The body has more than {_most()} records. Send fewer at a time.")
    return records


def _read_line(number: int, line: bytes) -> schemas.Record:
    try:
        return bodies.parse(line, _record)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"Line {number}: {error}") from None


def _check_name(model: str) -> None:
    """Refuse characters that not every database stores."""
    if not model.isprintable():
        raise ApiError(400, "model", f"The model {model[:64]!a} has a character that can't be printed. Remove it.")


def _most() -> int:
    return int(this_app().config["SIMULCAST_MAX_BATCH_EVENTS"])


RECORDS = Body(content={JSON: schemas.Records, NDJSON: str}, most_bytes=lambda: _most() * _RECORD_BYTES, parse=_read)


@api.post(
    "",
    needs=Publish(events.CHANNEL),
    headers={
        "Idempotency-Key": "A second request of the same sender with the same key stores nothing, and is answered as the first "
        "one. Other records with that key get 409."
    },
    body=RECORDS,
    publishes=len,
    answers={201: schemas.Recorded},
    errors=(409,),
)
def record(body: list[schemas.Record]) -> schemas.Recorded:
    """Record usage: one record, an array of records, or one a line; all or none."""
    key = request.headers.get("Idempotency-Key") or None
    return schemas.Recorded(service.record(body, current_sender(), key))


@api.get("", needs=Subscribe(events.CHANNEL), query=schemas.ListQuery, answers={200: schemas.Usages}, errors=(503,))
def every(query: schemas.ListQuery) -> Response:
    """List the records of the last hours, the oldest first, as streaming JSON; or with `before` the newest that stand before it."""
    _check_name(query.model)
    hours = service.hours_of(query.hours)
    if query.before:
        return simulcast.json_rows("usage", service.older(hours, query.model, query.before, query.limit))
    return simulcast.json_rows("usage", service.every(hours, query.model))


@api.get(
    "/summary",
    needs=Subscribe(events.CHANNEL),
    query=schemas.SummaryQuery,
    answers={200: schemas.UsageSummary},
    errors=(503,),
)
def summary(query: schemas.SummaryQuery) -> schemas.UsageSummary:
    """Sum up the last hours, by model or by hour."""
    return service.summary(service.hours_of(query.hours), query.by)


@api.get("/sources", needs=Subscribe(events.CHANNEL), answers={200: schemas.Sources}, errors=(503,))
def sources() -> schemas.Sources:
    """List the sources that are polled, and how they fare."""
    return schemas.Sources(polled.every())


@api.get(
    "/stream",
    needs=Listen(events.CHANNEL),
    query=schemas.StreamQuery,
    headers=RESUME_HEADER,
    answers=STREAMS,
    errors=(429, 503),
)
def stream(query: schemas.StreamQuery) -> Response:
    """Stream records: ``usage`` with those of the last hours, at most the newest 1000, then ``usage`` as they come.

    The data of an event is a list of at most 100 records. A client that reconnects with `Last-Event-ID` gets what it missed.
    """
    hours = service.hours_of(query.hours)
    return simulcast.stream(
        events.CHANNEL, view=events.Within(hours), snapshot=lambda: service.snapshot(hours), snapshot_type=events.USAGE
    )
