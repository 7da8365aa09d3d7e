"""Access: a user has their own conversations alone. Without a user, a conversation is known to clients that have its id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from flask import current_app
from sqlalchemy import Row

from ....extensions import simulcast
from ....flask_simulcast import ForbiddenError, Grant, UnauthorizedError
from ....identity.rights import Identity
from ....web.errors import ApiError
from ....web.right import Access, Right
from ..schemas import CONVERSATION_PATTERN
from . import store

# As long as a UUID, with or without its hyphens: without a user the id is all that keeps others out.
_SECRET_CHARACTERS = 32
_ID = re.compile(CONVERSATION_PATTERN, re.ASCII)


class Own(Right):
    """A conversation of one's own."""

    def __init__(self, access: Access) -> None:
        self.access = access  # type: ignore[misc]
        self.text = "that your user spoke in it"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = simulcast.grant()
        if grant.is_anonymous and not current_app.config["SIMULCAST_COMPLETIONS_ANONYMOUS"]:
            raise UnauthorizedError("This needs a token. Send one in the header Authorization: Bearer <token>.")
        find(path["id"], grant)
        return grant


class OfUser(Identity):
    """To be a user."""

    access = Access.READ
    text = "a token with a user"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = super().require(path)
        if not grant.user:
            raise ForbiddenError("Your token has no user, and only users have a list. Get one with a sub.", "no_user")
        return grant


def find(id: str, grant: Grant) -> Row[Any]:
    """Return a conversation of this grant's user.

    Raises:
        ApiError: 404: it is unknown, or another user's: a client can't tell which.
    """
    row = store.find(owner_of(grant), id) if _is_id(id, grant) else None
    if row is None:
        raise ApiError(404, "no_such_conversation", "You have no conversation with this id. A first prompt makes one.")
    return row


def owner_of(grant: Grant) -> str:
    """Return the key of a grant's user. A hash, because a user's name can have any character."""
    return sha256(grant.user.encode()).hexdigest()[:32]


def check_id(id: str, grant: Grant) -> None:
    """Check the id that a client chose.

    Raises:
        ApiError: 400 ``conversation``.
    """
    if not _is_id(id, grant):
        raise ApiError(
            400,
            "conversation",
            "The id of a conversation has 1 to 64 characters of A-Z a-z 0-9 . _ -, and without a user at least "
            f"{_SECRET_CHARACTERS}. Use for example a random UUID.",
        )


def _is_id(id: str, grant: Grant) -> bool:
    return _ID.fullmatch(id) is not None and (bool(grant.user) or len(id) >= _SECRET_CHARACTERS)


LISTEN, READ, LIST = Own(Access.LISTEN), Own(Access.READ), OfUser()
