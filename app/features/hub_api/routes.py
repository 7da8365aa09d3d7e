"""Routes to listen, publish, read history, list members and listeners, and close a connection; and the page to try them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from msgspec import UNSET

from ...extensions import simulcast
from ...flask_simulcast import client_input
from ...identity.sender import current_sender
from ...web import body as bodies
from ...web import reads
from ...web.api import Api
from ...web.body import JSON, NDJSON, Body
from ...web.here import this_request
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, reading, schemas, service

api = Api("hub_api", __name__, {"user": schemas.User, "listener": schemas.ListenerId, "channel": schemas.Channel})
page = Blueprint("playground", __name__)

# Maximum size of a draft besides its data, and of a ticket request.
_MAX_HEAD_BYTES = 4096


def _events(text: bytes) -> list[schemas.Event]:
    return service.events_of(this_request(), text)


def _key() -> str | None:
    return service.key_of(this_request())


EVENTS = Body(
    content={JSON: schemas.Events, NDJSON: str},
    most_bytes=lambda: None,
    parse=_events,
)
DRAFT = Body(
    content={JSON: schemas.DraftBody},
    most_bytes=lambda: 2 * simulcast.settings.max_event_bytes + _MAX_HEAD_BYTES,
    parse=lambda text: reading.read_draft(text, _key(), simulcast.settings.max_event_bytes),
)
TICKET_REQUEST = bodies.of_struct(
    schemas.TicketRequest,
    most_bytes=_MAX_HEAD_BYTES,
    code="invalid_ticket_request",
    hint=f'Send for example {{"seconds": {schemas.MAX_TICKET_SECONDS}}}.',
    is_optional=True,
)
#: What all routes that publish have besides the body.
_PUBLISHES: dict[str, Any] = {
    "headers": {
        "Idempotency-Key": "For a single event; the same as `idempotency_key` in the body. 409 if it was used for another event."
    },
    "errors": (409,),
}


@page.get("/playground")
def index() -> Response:
    """Return the page that publishes, listens, and shows the bytes of a stream."""
    return as_page("playground.html")


@api.get(
    "/stream",
    needs=access.LISTEN,
    query=schemas.StreamQuery,
    headers=RESUME_HEADER,
    answers=STREAMS,
    errors=(429, 503),
)
def stream(query: schemas.StreamQuery) -> Response:
    """Listen to channels: server-sent events, or one JSON object a line for `Accept: application/x-ndjson`.

    The body does not end by itself; docs/wire.md describes it.
    """
    return simulcast.stream(query.channel, replay=None if query.replay is UNSET else query.replay)


@api.post(
    "/events",
    needs=access.PUBLISH_EACH,
    body=EVENTS,
    publishes=reading.count_of,
    answers={201: schemas.PublishedMany},
    **_PUBLISHES,
)
def publish(body: list[schemas.Event]) -> schemas.PublishedMany:
    """Publish one event, an array of events, or one event a line; all or none."""
    sender = "" if all(event.idempotency_key is UNSET for event in body) else current_sender()
    return service.published_many(simulcast.publish_many(reading.as_mapping(event, sender) for event in body))


@api.post("/broadcast", needs=access.BROADCAST, body=DRAFT, publishes=1, answers={201: schemas.Published}, **_PUBLISHES)
def broadcast(body: schemas.Draft) -> schemas.Published:
    """Publish an event for every listener, whatever channels it listens to."""
    return service.published(simulcast.broadcast(body.data, **reading.options_of(body, current_sender())))


@api.post(
    "/users/<path:user>/events",
    needs=access.TO_USER,
    body=DRAFT,
    publishes=1,
    answers={201: schemas.Published},
    **_PUBLISHES,
)
def publish_to_user(user: str, body: schemas.Draft) -> schemas.Published:
    """Publish an event for all connections of one user, including those that reconnect later."""
    return service.published(simulcast.publish_to_user(user, body.data, **reading.options_of(body, current_sender())))


@api.delete("/users/<path:user>/grants", needs=access.TO_USER, answers={204: None}, errors=(503,))
def revoke(user: str) -> None:
    """Revoke all tokens that a user was given until now, and end their streams."""
    with client_input():
        simulcast.revoke(user=user)


@api.post(
    "/listeners/<listener>/events",
    needs=access.TO_LISTENER,
    body=DRAFT,
    publishes=1,
    answers={201: schemas.Published},
    **_PUBLISHES,
)
def publish_to_listener(listener: str, body: schemas.Draft) -> schemas.Published:
    """Publish an event for one connection, in any worker."""
    options = reading.options_of(body, current_sender())
    return service.published(simulcast.publish_to_listener(listener, body.data, **options))


@api.get(
    "/listeners",
    needs=access.LISTENERS,
    query=schemas.ListenersQuery,
    answers={200: schemas.ListenersPage},
    errors=(429, 503),
)
def listeners(query: schemas.ListenersQuery) -> schemas.ListenersPage:
    """List the connections of all workers."""
    return service.listeners_page(query)


@api.delete(
    "/listeners/<listener>", needs=access.TO_LISTENER, query=schemas.KickQuery, answers={204: None}, errors=(404, 503)
)
def kick(listener: str, query: schemas.KickQuery) -> None:
    """Close one connection, in any worker."""
    simulcast.kick(listener, reconnect=query.reconnect)


@api.get(
    "/channels/<channel>/history",
    needs=access.HISTORY,
    query=schemas.HistoryQuery,
    answers={200: schemas.HistoryPage},
    errors=(429, 503),
)
def history(channel: str, query: schemas.HistoryQuery) -> schemas.HistoryPage:
    """Return a page of a channel's history, with a gap if events are missing."""
    return service.history_page(reads.history(channel, after=query.after or None, limit=query.limit))


@api.get(
    "/channels/<channel>/presence",
    needs=access.PRESENCE,
    query=schemas.MembersQuery,
    answers={200: schemas.MembersPage},
    errors=(429, 503),
)
def presence(channel: str, query: schemas.MembersQuery) -> schemas.MembersPage:
    """List the members of a channel, over all workers."""
    return service.members_page(channel, query.after, query.limit)


@api.post("/tickets", needs=access.IDENTITY, body=TICKET_REQUEST, answers={201: schemas.Ticket}, errors=(429, 503))
def issue_ticket(body: schemas.TicketRequest) -> schemas.Ticket:
    """Issue a ticket that lets in once, for clients that can't send a header: EventSource and WebSocket."""
    return service.issue_ticket(simulcast.grant(), body.seconds)
