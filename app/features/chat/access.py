"""Access: which person may enter a room, and which may speak there. Checked on a request; a WebSocket begins with one, too."""

from __future__ import annotations

from flask import current_app, request

from ...extensions import simulcast
from ...flask_simulcast import ForbiddenError, Grant, address_of
from ...identity import requests as auth
from . import events, texts
from .events import Person
from .limits import Speaker


def enter(room: str, given: str) -> tuple[Grant, Person]:
    """Who asks, as somebody who may be in this room.

    Args:
        given: The name that they give; empty for the one that their token has.

    Raises:
        UnauthorizedError, ForbiddenError: The person may not enter; ``other_user``: the name is another user's.
        ApiError: 400 for an invalid room or name.
    """
    grant = require_entrance(room)
    return grant, _person(grant, given)


def require_entrance(room: str) -> Grant:
    """The grant of who asks, if it lets into this room.

    Raises:
        UnauthorizedError, ForbiddenError: It does not.
        ApiError: 400: this can't be a room.
    """
    return auth.require_subscribe([events.right_of(texts.check_room(room))])


def require_speech(room: str) -> Grant:
    """The grant of who asks, if it lets speak in this room: asked before a body is read. Without a token one may where
    the room is open to all, and ``SIMULCAST_CHAT_ANONYMOUS`` says so.

    Raises:
        UnauthorizedError, ForbiddenError: It does not.
        ApiError: 400: this can't be a room; 403 ``publish_closed``: nobody may speak anywhere.
    """
    right = events.right_of(texts.check_room(room))
    if current_app.config["SIMULCAST_CHAT_ANONYMOUS"] and simulcast.grant().is_anonymous:
        return auth.require_subscribe([right])
    return auth.require_publish([right])


def speaker(grant: Grant, given: str) -> tuple[Person, Speaker]:
    """Who speaks, and what bounds them.

    Args:
        grant: As `require_speech` gave it.
        given: The name that they give; empty for the one that their token has.

    Raises:
        ForbiddenError: ``other_user``: the name is another user's.
        ApiError: 400 for an invalid name.
    """
    person = _person(grant, given)
    if not grant.is_anonymous and not grant.user:
        return person, Speaker(person.member, "")  # a backend, which speaks for many
    address = address_of(request, "what SIMULCAST_CHAT_RATE bounds for each address")
    return person, Speaker(address if grant.is_anonymous else person.member, address)


def _person(grant: Grant, given: str) -> Person:
    """Return the person of a request. A token's user can't take another name."""
    if grant.user and given and not texts.is_same_name(given, grant.user):
        raise ForbiddenError("Your token is another user's. Leave user out, or send the token's own.", "other_user")
    return Person(texts.check_name(grant.user or given), bool(grant.user))
