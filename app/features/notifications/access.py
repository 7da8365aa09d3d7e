"""Access: a user has their own notifications alone; a client that may send to a user may notify the user."""

from __future__ import annotations

from collections.abc import Mapping

from ...flask_simulcast import ForbiddenError, Grant
from ...identity.rights import Identity, Publish, PublishEach
from ...web.right import Access
from .schemas import Notify


class _Own(Identity):
    """To be a user."""

    text = "a token with a user"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = super().require(path)
        if not grant.user:
            raise ForbiddenError(
                "Your token has no user, and only users have notifications. Get one with a sub.", "no_user"
            )
        return grant


class _Listen(_Own):
    """The same, for a stream: a ticket is accepted, too."""

    access = Access.LISTEN


def _channels_of(body: Notify) -> list[str]:
    return [f"user:{body.user_id}"]


OWN, LISTEN = _Own(), _Listen()
NOTIFY = PublishEach(_channels_of)
NOTICE = Publish("all")
