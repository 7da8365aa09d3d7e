"""``/ws/chat/<room>``: the same rooms over one connection, to listen and to speak."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ...extensions import simulcast
from ...flask_simulcast import Connection, client_input
from ...web import limits
from ...web.api import Api
from ...web.conversation import Command, Commands, Done, Handlers, answerer, pong
from . import access, events, frames, schemas, service
from .limits import Speaker

api = Api("chat_socket", __name__, {"room": schemas.Room})

# More than a person types. Chat messages have a lower rate limit, which refuses a message but does not close the connection.
_LIMITS = {"messages_per_second": 20}


class Say(Command, tag="message"):
    """Publish a message."""

    message: str
    key: Annotated[str | None, Meta(description="A second message with this key within 300 s is ignored.")] = None


class Typing(Command, tag="typing"):
    """Tell the others that the person is typing."""


class Ping(Command, tag="ping"):
    """Ask whether the service answers."""


COMMANDS: Commands[Say | Typing | Ping] = Commands(Say | Typing | Ping, "docs/chat.md")


@api.websocket("/ws/chat/<room>", needs=access.ENTER, query=schemas.StreamQuery, limits=_LIMITS)
def chat(ws: Connection, room: str, query: schemas.StreamQuery) -> None:
    """Join a room by WebSocket: JSON text in both directions; docs/chat.md describes it.

    First come `connected` and `history`, or with `last_event_id` the missed events; then the events of the room. A message
    needs the same right as `POST …/message`.
    """
    simulcast.websocket(
        ws,
        events.channels_of(room),
        encoding=frames.CHAT,
        view=events.told,
        snapshot=lambda: service.entrance(room),
        snapshot_type=events.HISTORY,
        grant=simulcast.grant(),
        member=access.person_of(query.user).member,
        present=(events.channel_of(room),),
    ).start()
    ws.on_message = answerer(ws, COMMANDS, _HANDLERS, room)


def _say(room: str, command: Say) -> schemas.SentMessage:
    person, speaker = _speaker(room)
    with client_input():
        event = service.say(room, person, speaker, command.message, key=command.key)
    return schemas.SentMessage(str(event.position))


def _typing(room: str, _: Typing) -> Done:
    service.typing(room, *_speaker(room))
    return Done()


_HANDLERS: Handlers[Say | Typing | Ping] = {Say: _say, Typing: _typing, Ping: pong}


def _speaker(room: str) -> tuple[events.Person, Speaker]:
    """Return the person and their limits, if they may speak now."""
    simulcast.check_grant()  # it might have ended a moment ago, and the connection not yet
    access.SPEAK.require({"room": room})
    speaker = access.speaker_of(access.given_name())
    limits.check_publish(1)
    return speaker
