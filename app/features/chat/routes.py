"""``/chat/<room>``: come in, speak, type, and see who is there; and the page that does all this."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from flask import Blueprint, Response, request

from ...extensions import simulcast
from ...flask_simulcast import client_input
from ...web import bodies, body, limits, query, reads
from ...web.answers import as_json
from ...web.errors import ApiError
from ...web.openapi.operation import JSON, RESUME_HEADER, STREAMS, Access, Operation, describes
from ...web.pages import page as as_page
from . import access, events, schemas, service

T = TypeVar("T")

blueprint = Blueprint("chat", __name__)
page = Blueprint("chat_page", __name__)

_SPEAKS = "`publish` on `chat.<room>`; nothing where the room is open to all and the service lets people speak without a token"
# A message of 4000 characters, each written as an escape.
_MAX_BODY_BYTES = 64 << 10
_message = msgspec.json.Decoder(schemas.Message)
_typing = msgspec.json.Decoder(schemas.Typing)


@page.get("/chat")
def index() -> Response:
    """A room in a browser."""
    return as_page("chat.html")


@blueprint.get("/<room>/stream")
@describes(
    Operation(
        answers=STREAMS,
        access=Access.LISTEN,
        needs="`subscribe` on `chat.<room>`",
        path={"room": schemas.Room},
        query=schemas.StreamQuery,
        headers=RESUME_HEADER,
        errors=(429, 503),
    )
)
def stream(room: str) -> Response:
    """Come into a room: server-sent events, or one JSON object a line for `Accept: application/x-ndjson`.

    First `history`: the last messages, and who is there. Then `message`, `typing`, `user-join`, `user-leave` as they happen;
    docs/chat.md describes them. Whoever comes back with `Last-Event-ID` gets what they missed instead of `history`.
    """
    grant, person = access.enter(room, query.read(schemas.StreamQuery).user)
    return simulcast.stream(
        events.channels_of(room),
        view=events.told,
        snapshot=lambda: service.entrance(room),
        snapshot_type=events.HISTORY,
        grant=grant,
        member=person.member,
        present=(events.channel_of(room),),
    )


@blueprint.post("/<room>/message")
@describes(
    Operation(
        answers={201: {JSON: schemas.Sent}},
        access=Access.GRANTED,
        needs=_SPEAKS,
        path={"room": schemas.Room},
        headers={
            "Idempotency-Key": "A second message of the same user with the same key within 300 s is not stored again. A "
            "different message with that key gets 409."
        },
        body={JSON: schemas.Message},
        errors=(409, 429, 503),
    )
)
def say(room: str) -> Response:
    """Say something in a room. One need not be in it."""
    grant = access.require_speech(room)
    sent = _read(_message)
    person, speaker = access.speaker(grant, sent.user)
    limits.check_publish(1)
    with client_input():
        event = service.say(room, person, speaker, sent.message, key=request.headers.get("Idempotency-Key"))
    return as_json(schemas.Sent(str(event.position)), 201)


@blueprint.post("/<room>/typing")
@describes(
    Operation(
        answers={204: None},
        access=Access.GRANTED,
        needs=_SPEAKS,
        path={"room": schemas.Room},
        body={JSON: schemas.Typing},
        body_is_optional=True,
        errors=(429, 503),
    )
)
def typing(room: str) -> Response:
    """Have the others told that one types: at most once a second. More than that is taken, and not told."""
    grant = access.require_speech(room)
    person, speaker = access.speaker(grant, _read(_typing, b"{}").user)
    limits.check_publish(1)
    service.typing(room, person, speaker)
    return Response(status=204)


@blueprint.get("/<room>/users")
@describes(
    Operation(
        answers={200: {JSON: schemas.Users}},
        access=Access.READ,
        needs="`subscribe` on `chat.<room>`",
        path={"room": schemas.Room},
        query=schemas.UsersQuery,
        errors=(429, 503),
    )
)
def users(room: str) -> Response:
    """Who is in a room, over all workers."""
    access.require_entrance(room)
    asked = query.read(schemas.UsersQuery)
    return as_json(reads.of_rows(lambda: service.users(room, after=asked.after, limit=asked.limit), _count))


def _count(users: schemas.Users) -> int:
    return users.count


def _read(decoder: msgspec.json.Decoder[T], default: bytes = b"") -> T:
    try:
        return body.parse(bodies.read(_MAX_BODY_BYTES) or default, decoder)
    except msgspec.ValidationError as error:
        raise ApiError(400, "invalid_message", f"{error}. A body has user and, to say something, message.") from None
