"""``/notifications``, ``/notify`` and ``/notices``; and the page of a user's notifications."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, request

from ...extensions import simulcast
from ...identity.sender import current_sender
from ...web import body as bodies
from ...web.api import Api
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, schemas, service

api = Api("notifications", __name__, {"position": schemas.Position})
page = Blueprint("notifications_page", __name__)

_MAX_BYTES = 16 << 10  # a message of 1000 characters, each written as an escape
_HINT = (
    'type is info, success, warning or error. Send for example {"user_id": "ann", "type": "info", "message": "Hello"}.'
)
NOTIFY = bodies.of_struct(schemas.Notify, most_bytes=_MAX_BYTES, code="invalid_notification", hint=_HINT)
NOTICE = bodies.of_struct(schemas.Notice, most_bytes=_MAX_BYTES, code="invalid_notice", hint=_HINT)


@page.get("/notifications")
def index() -> Response:
    """Return the page of a user's notifications."""
    return as_page("notifications.html")


@api.get("/notifications", needs=access.LISTEN, headers=RESUME_HEADER, answers=STREAMS, errors=(429, 503))
def stream() -> Response:
    """Stream the notifications of the token's user; docs/notifications.md describes the events.

    The first event is `unread`, with those that wait. Then come `notification`, and `notification-read` when another device has
    read one. A client that reconnects with `Last-Event-ID` gets what it missed instead of `unread`.
    """
    grant, start = simulcast.grant(), simulcast.hub.position
    return simulcast.stream(
        service.channel_of(grant.user),
        grant=grant,
        view=service.own,
        start=start,
        snapshot=lambda: msgspec.to_builtins(service.unread(grant.user, up_to=start)),
        snapshot_type=service.UNREAD,
    )


@api.get(
    "/notifications/unread", needs=access.OWN, query=schemas.UnreadQuery, answers={200: schemas.Unread}, errors=(503,)
)
def unread(query: schemas.UnreadQuery) -> schemas.Unread:
    """List the notifications that the token's user has not read on any device, the newest first."""
    return service.unread(simulcast.grant().user, query.before, query.limit)


@api.post("/notifications/<position>/read", needs=access.OWN, publishes=1, answers={204: None})
def read(position: str) -> None:
    """Mark a notification as read. The user's other devices get `notification-read`."""
    service.read(simulcast.grant().user, position)


@api.post(
    "/notify",
    needs=access.NOTIFY,
    headers={
        "Idempotency-Key": "A second notification of the same sender with the same key is the same one; another gets 409."
    },
    body=NOTIFY,
    publishes=1,
    answers={201: schemas.SentNotification},
    errors=(409,),
)
def notify(body: schemas.Notify) -> schemas.SentNotification:
    """Notify a user, connected or not. Needs `publish` on `user:<user_id>`."""
    return service.notify(body, current_sender(), request.headers.get("Idempotency-Key") or None)


@api.post("/notices", needs=access.NOTICE, body=NOTICE, publishes=1, answers={201: schemas.SentNotification})
def notice(body: schemas.Notice) -> schemas.SentNotification:
    """Tell all listeners of the service, whatever they listen to: event `notice`. It is not kept for others."""
    return service.notice(body)
