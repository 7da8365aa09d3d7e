"""Access: which person may enter a room, and which may speak there."""

from __future__ import annotations

from collections.abc import Mapping

from flask import current_app, request

from ...extensions import simulcast
from ...flask_simulcast import ForbiddenError, Grant, address_of
from ...identity.rights import Listen, Publish, Subscribe
from ...web import query
from . import schemas, texts
from .events import Person
from .limits import Speaker


class Enter(Listen):
    """To be in a room under a name: the token's own, or any name without a token."""

    def require(self, path: Mapping[str, str]) -> Grant:
        """As `Right.require`.

        Raises:
            ForbiddenError: ``other_user``: the name is another user's.
            ApiError: 400 for an invalid room or name.
        """
        grant = super().require(path)
        person_of(given_name())
        return grant


class Speak(Publish):
    """To speak in a room. With ``SIMULCAST_CHAT_ANONYMOUS`` a person without a token may speak in a room that is open to all."""

    def __init__(self) -> None:
        super().__init__("chat.<room>", room=texts.check_room)
        self.text += "; nothing where the room is open to all and the service lets people speak without a token"

    def require(self, path: Mapping[str, str]) -> Grant:
        if current_app.config["SIMULCAST_CHAT_ANONYMOUS"] and simulcast.grant().is_anonymous:
            return READ.require(path)
        return super().require(path)


READ = Subscribe("chat.<room>", room=texts.check_room)
ENTER = Enter("chat.<room>", room=texts.check_room)
SPEAK = Speak()


def given_name() -> str:
    """Return the name in the query; empty if there is none."""
    return query.read(schemas.StreamQuery).user


def speaker_of(given: str) -> tuple[Person, Speaker]:
    """Return the person who speaks, and what limits them. Raises as `person_of`."""
    grant, person = simulcast.grant(), person_of(given)
    if not grant.is_anonymous and not grant.user:
        return person, Speaker(person.member, "")  # a backend, which speaks for many
    address = address_of(request, "what SIMULCAST_CHAT_RATE bounds for each address")
    return person, Speaker(address if grant.is_anonymous else person.member, address)


def person_of(given: str) -> Person:
    """Return the person of the current request. A token's user can't take another name.

    Args:
        given: The name that they give; empty for the one that their token has.

    Raises:
        ForbiddenError: ``other_user``: the name is another user's.
        ApiError: 400 for an invalid name.
    """
    grant = simulcast.grant()
    if grant.user and given and not texts.is_same_name(given, grant.user):
        raise ForbiddenError("Your token is another user's. Leave user out, or send the token's own.", "other_user")
    return Person(texts.check_name(grant.user or given), bool(grant.user))
