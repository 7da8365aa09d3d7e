"""``/ws/chat/<room>``: the same rooms over one connection, to listen and to speak."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from flask import Blueprint
from msgspec import Meta, Struct

from ...extensions import simulcast, sock
from ...flask_simulcast import Connection, client_input
from ...web import conversation as sockets
from ...web import limits, query
from ...web.openapi.operation import Access, Operation, describes
from . import access, events, frames, schemas, service

blueprint = Blueprint("chat_socket", __name__)

# More than anybody types; what is said has a bound of its own, which is told and not closed for.
_LIMITS = {"messages_per_second": 20}


class Say(Struct, forbid_unknown_fields=True):
    """Something to say."""

    message: str
    key: Annotated[str | None, Meta(description="With the same one within 300 s it is the same message.")] = None


class Types(Struct, forbid_unknown_fields=True):
    """They type."""


class Ping(Struct, forbid_unknown_fields=True):
    """Is anybody there?"""


KINDS: sockets.Kinds = {"message": Say, "typing": Types, "ping": Ping}


def _before(room: str) -> None:
    grant, _ = access.enter(room, _user())
    simulcast.check_capacity(grant)


@sock.route("/ws/chat/<room>", blueprint, before=_before, text_only=True, limits=_LIMITS)
@describes(
    Operation(
        answers=sockets.OPENED,
        access=Access.LISTEN,
        needs="`subscribe` on `chat.<room>`, and to speak what `POST …/message` needs",
        path={"room": schemas.Room},
        query=schemas.StreamQuery,
        errors=sockets.REFUSED,
    )
)
def chat(ws: Connection, room: str) -> None:
    """Come into a room by WebSocket: JSON text, in both directions; docs/chat.md describes it.

    First `connected` and `history`, or with `last_event_id` what was missed; then what happens in the room.
    """
    grant, person = access.enter(room, _user())
    with simulcast.websocket(
        ws,
        events.channels_of(room),
        encoding=frames.CHAT,
        view=events.told,
        snapshot=lambda: service.entrance(room),
        snapshot_type=events.HISTORY,
        grant=grant,
        member=person.member,
        present=(events.channel_of(room),),
    ):
        sockets.converse(ws, KINDS, partial(_answer, room))


def _answer(room: str, message: Say | Types | Ping, _: sockets.Id) -> sockets.Answer:
    if isinstance(message, Ping):
        return {"type": "pong", "time": time.time_ns() // 1_000_000}
    person, speaker = access.speaker(access.require_speech(room), _user())
    limits.check_publish(1)
    if isinstance(message, Types):
        service.typing(room, person, speaker)
        return None  # nobody waits for that
    with client_input():
        event = service.say(room, person, speaker, message.message, key=message.key)
    return {"type": "sent", "position": str(event.position)}


def _user() -> str:
    return query.read(schemas.StreamQuery).user
