"""Listen, publish, look back, see who is there, and end a connection."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, current_app, request
from msgspec import UNSET

from ...extensions import simulcast
from ...flask_simulcast import client_input
from ...identity import requests as auth
from ...identity.sender import current_sender
from ...web import bodies, body, limits, query, reads
from ...web.answers import as_json
from ...web.errors import ApiError
from ...web.openapi.operation import JSON, NDJSON, RESUME_HEADER, STREAMS, Access, Operation, describes
from . import reading, schemas, service

blueprint = Blueprint("hub_api", __name__)

_KEY_HEADER = {
    "Idempotency-Key": "For a single event; the same as `idempotency_key` in the body. 409 if it was used for another event."
}
# Size of the rest of a draft, beside its data, and of a ticket request.
_MAX_HEAD_BYTES = 4096
_ticket_request = msgspec.json.Decoder(schemas.TicketRequest)


@blueprint.get("/stream")
@describes(
    Operation(
        answers=STREAMS,
        access=Access.LISTEN,
        needs="`subscribe` on each channel; on `all`, to be let in at all",
        query=schemas.StreamQuery,
        headers=RESUME_HEADER,
        errors=(429, 503),
    )
)
def stream() -> Response:
    """Listen to channels: server-sent events, or one JSON object a line for `Accept: application/x-ndjson`.

    The body does not end by itself; docs/wire.md describes it.
    """
    asked = query.read(schemas.StreamQuery)
    return simulcast.stream(asked.channel, replay=None if asked.replay is UNSET else asked.replay)


@blueprint.post("/events")
@describes(
    Operation(
        answers={201: {JSON: schemas.PublishedMany}},
        access=Access.GRANTED,
        needs="`publish` on each channel",
        headers=_KEY_HEADER,
        body={JSON: schemas.Events, NDJSON: str},
        errors=(409, 429, 503),
    )
)
def publish() -> Response:
    """Publish one event, an array of them, or one a line; all or none."""
    auth.require_publisher()
    events = reading.read_events(
        bodies.read(),
        request.mimetype,
        request.headers.get("Idempotency-Key"),
        _bounds(),
        simulcast.hub.breathe,
    )
    auth.require_publish({name for event in events for name in event.names})
    limits.check_publish(sum(len(event.names) for event in events))
    sender = current_sender()
    with client_input():
        published = simulcast.publish_many(reading.as_mapping(event, sender) for event in events)
    return as_json(service.published_many(published), 201)


@blueprint.post("/broadcast")
@describes(
    Operation(
        answers={201: {JSON: schemas.Published}},
        access=Access.GRANTED,
        needs="`publish` on `all`",
        headers=_KEY_HEADER,
        body={JSON: schemas.Draft},
        errors=(409, 429, 503),
    )
)
def broadcast() -> Response:
    """Publish an event that every listener gets, whatever it listens to."""
    auth.require_publish(["all"])
    event = _draft()
    with client_input():
        published = simulcast.broadcast(event.data, **reading.options_of(event, current_sender()))
    return as_json(service.published(published), 201)


# A user's name may have slashes in it, even two in a row: many are URLs.
@blueprint.post("/users/<path:user>/events", merge_slashes=False)
@describes(
    Operation(
        answers={201: {JSON: schemas.Published}},
        access=Access.GRANTED,
        needs="`publish` on `user:<user>`",
        path={"user": schemas.User},
        headers=_KEY_HEADER,
        body={JSON: schemas.Draft},
        errors=(409, 429, 503),
    )
)
def publish_to_user(user: str) -> Response:
    """Publish an event for all connections of one user, those that come back later included."""
    _check_text(user)
    auth.require_publish([f"user:{user}"])
    event = _draft()
    with client_input():
        published = simulcast.publish_to_user(user, event.data, **reading.options_of(event, current_sender()))
    return as_json(service.published(published), 201)


@blueprint.delete("/users/<path:user>/grants", merge_slashes=False)
@describes(
    Operation(
        answers={204: None},
        access=Access.GRANTED,
        needs="`publish` on `user:<user>`",
        path={"user": schemas.User},
        errors=(503,),
    )
)
def revoke(user: str) -> Response:
    """End all tokens and streams of a user: those that were issued until now."""
    _check_text(user)
    auth.require_publish([f"user:{user}"])
    with client_input():
        simulcast.revoke(user=user)
    return Response(status=204)


@blueprint.post("/listeners/<listener>/events")
@describes(
    Operation(
        answers={201: {JSON: schemas.Published}},
        access=Access.GRANTED,
        needs="`publish` on `listener:<listener>`",
        path={"listener": schemas.ListenerId},
        headers=_KEY_HEADER,
        body={JSON: schemas.Draft},
        errors=(404, 409, 429, 503),
    )
)
def publish_to_listener(listener: str) -> Response:
    """Publish an event for one connection, in whichever worker it is."""
    auth.require_publish([f"listener:{listener}"])
    event = _draft()
    with client_input():
        published = simulcast.publish_to_listener(listener, event.data, **reading.options_of(event, current_sender()))
    return as_json(service.published(published), 201)


@blueprint.get("/listeners")
@describes(
    Operation(
        answers={200: {JSON: schemas.ListenersPage}},
        access=Access.GRANTED,
        needs="`subscribe` on `listener:*`",
        query=schemas.ListenersQuery,
        errors=(429, 503),
    )
)
def listeners() -> Response:
    """Who is connected, over all workers."""
    auth.require_subscribe(["listener:any"])
    return as_json(service.listeners_page(query.read(schemas.ListenersQuery)))


@blueprint.delete("/listeners/<listener>")
@describes(
    Operation(
        answers={204: None},
        access=Access.GRANTED,
        needs="`publish` on `listener:<listener>`",
        path={"listener": schemas.ListenerId},
        query=schemas.KickQuery,
        errors=(404, 503),
    )
)
def kick(listener: str) -> Response:
    """Close one connection, in whichever worker it is."""
    auth.require_publish([f"listener:{listener}"])
    simulcast.kick(listener, reconnect=query.read(schemas.KickQuery).reconnect)
    return Response(status=204)


@blueprint.get("/channels/<channel>/history")
@describes(
    Operation(
        answers={200: {JSON: schemas.HistoryPage}},
        access=Access.READ,
        needs="`subscribe` on the channel",
        path={"channel": schemas.Channel},
        query=schemas.HistoryQuery,
        errors=(429, 503),
    )
)
def history(channel: str) -> Response:
    """A page of what a channel has kept, with the verdict on whether something is missing."""
    auth.require_subscribe([channel])
    asked = query.read(schemas.HistoryQuery)
    return as_json(service.history_page(reads.history(channel, after=asked.after or None, limit=asked.limit)))


@blueprint.get("/channels/<channel>/presence")
@describes(
    Operation(
        answers={200: {JSON: schemas.MembersPage}},
        access=Access.READ,
        needs="`subscribe` on `presence:<channel>`",
        path={"channel": schemas.Channel},
        query=schemas.MembersQuery,
        errors=(429, 503),
    )
)
def presence(channel: str) -> Response:
    """Who is present on a channel, over all workers."""
    auth.require_subscribe([f"presence:{channel}"])
    asked = query.read(schemas.MembersQuery)
    return as_json(service.members_page(channel, asked.after, asked.limit))


@blueprint.post("/tickets")
@describes(
    Operation(
        answers={201: {JSON: schemas.Ticket}},
        access=Access.GRANTED,
        needs="a token in a header or a cookie",
        body={JSON: schemas.TicketRequest},
        body_is_optional=True,
        errors=(429, 503),
    )
)
def issue_ticket() -> Response:
    """A ticket that lets in once, for who can't send a header: EventSource and WebSocket."""
    grant = auth.require_identity()
    try:
        asked = body.parse(bodies.read(_MAX_HEAD_BYTES) or b"{}", _ticket_request)
    except msgspec.ValidationError as error:
        raise ApiError(
            400, "invalid_ticket_request", f'{error}. Send for example {{"seconds": {schemas.MAX_TICKET_SECONDS}}}.'
        ) from None
    return as_json(service.issue_ticket(grant, asked.seconds), 201)


def _draft() -> schemas.Draft:
    bounds = _bounds()
    text = bodies.read(2 * bounds.event_bytes + _MAX_HEAD_BYTES)
    draft = reading.read_draft(text, request.headers.get("Idempotency-Key"), bounds.event_bytes)
    limits.check_publish(1)
    return draft


def _bounds() -> reading.Bounds:
    config = current_app.config
    return reading.Bounds(
        config["SIMULCAST_MAX_BATCH_EVENTS"], simulcast.settings.max_event_bytes, config["SIMULCAST_MAX_BODY_BYTES"]
    )


def _check_text(user: str) -> None:
    """What was no UTF-8 in the path has become a replacement character, and would be somebody else."""
    if "\ufffd" in user:
        raise ApiError(400, "not_utf8", "The user in the path is not UTF-8. Encode it as UTF-8, then as percent signs.")
