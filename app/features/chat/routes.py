"""``/chat/<room>``: join, speak, type, and see who is there; and the page that does all this."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response, request

from ...extensions import simulcast
from ...web import body as bodies
from ...web import reads
from ...web.api import Api
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, events, schemas, service

api = Api("chat", __name__, {"room": schemas.Room})
page = Blueprint("chat_page", __name__)

_body = partial(
    bodies.of_struct,
    most_bytes=64 << 10,  # a message of 4000 characters, each written as an escape
    code="invalid_message",
    hint="A body has user and, for a message, message.",
)
MESSAGE, TYPING = _body(schemas.Message), _body(schemas.Typing, is_optional=True)


@page.get("/chat")
def index() -> Response:
    """Return the page of a room."""
    return as_page("chat.html")


@api.get(
    "/<room>/stream",
    needs=access.ENTER,
    query=schemas.StreamQuery,
    headers=RESUME_HEADER,
    answers=STREAMS,
    errors=(429, 503),
)
def stream(room: str, query: schemas.StreamQuery) -> Response:
    """Join a room: server-sent events, or one JSON object a line for `Accept: application/x-ndjson`.

    The first event is `history`: the last messages, and the people in the room. Then come `message`, `typing`, `user-join` and
    `user-leave` as they happen; docs/chat.md describes them. A client that reconnects with `Last-Event-ID` gets the events
    that it missed instead of `history`.
    """
    return simulcast.stream(
        events.channels_of(room),
        view=events.told,
        snapshot=lambda: service.entrance(room),
        snapshot_type=events.HISTORY,
        grant=simulcast.grant(),
        member=access.person_of(query.user).member,
        present=(events.channel_of(room),),
    )


@api.post(
    "/<room>/message",
    needs=access.SPEAK,
    headers={"Idempotency-Key": schemas.Key},
    body=MESSAGE,
    publishes=1,
    answers={201: schemas.SentMessage},
    errors=(409,),
)
def say(room: str, body: schemas.Message) -> schemas.SentMessage:
    """Publish a message in a room. The author does not have to be in it."""
    person, speaker = access.speaker_of(body.user)
    event = service.say(room, person, speaker, body.message, key=request.headers.get("Idempotency-Key"))
    return schemas.SentMessage(str(event.position))


@api.post("/<room>/typing", needs=access.SPEAK, body=TYPING, publishes=1, answers={204: None})
def typing(room: str, body: schemas.Typing) -> None:
    """Tell the others in the room that the person is typing, at most once a second. More requests are accepted and ignored."""
    service.typing(room, *access.speaker_of(body.user))


@api.get(
    "/<room>/users",
    needs=access.READ,
    query=schemas.UsersQuery,
    answers={200: schemas.Users},
    errors=(429, 503),
)
def users(room: str, query: schemas.UsersQuery) -> schemas.Users:
    """List the people in a room, over all workers."""
    return reads.of_rows(lambda: service.users(room, after=query.after, limit=query.limit), lambda found: found.count)
