"""``/ws/chat/<room>``: the same rooms over one connection, to listen and to speak."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from ...extensions import simulcast
from ...flask_simulcast import Connection, client_input
from ...web import conversation as sockets
from ...web import limits
from ...web.api import Api
from . import access, events, frames, schemas, service

api = Api("chat_socket", __name__, {"room": schemas.Room})

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


@api.websocket("/ws/chat/<room>", needs=access.ENTER, query=schemas.StreamQuery, limits=_LIMITS)
def chat(ws: Connection, room: str) -> None:
    """Come into a room by WebSocket: JSON text, in both directions; docs/chat.md describes it.

    First `connected` and `history`, or with `last_event_id` what was missed; then what happens in the room. To speak needs
    what `POST …/message` needs.
    """
    with simulcast.websocket(
        ws,
        events.channels_of(room),
        encoding=frames.CHAT,
        view=events.told,
        snapshot=lambda: service.entrance(room),
        snapshot_type=events.HISTORY,
        grant=simulcast.grant(),
        member=access.person_of(access.given_name()).member,
        present=(events.channel_of(room),),
    ):
        sockets.converse(ws, KINDS, partial(_answer, room))


def _answer(room: str, message: Say | Types | Ping, _: sockets.Id) -> sockets.Answer:
    if isinstance(message, Ping):
        return {"type": "pong", "time": time.time_ns() // 1_000_000}
    access.SPEAK.require({"room": room})
    person, speaker = access.speaker_of(access.given_name())
    limits.check_publish(1)
    if isinstance(message, Types):
        service.typing(room, person, speaker)
        return None  # nobody waits for that
    with client_input():
        event = service.say(room, person, speaker, message.message, key=message.key)
    return {"type": "sent", "position": str(event.position)}
