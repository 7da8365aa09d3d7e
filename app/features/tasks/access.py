"""Access: the right to start a task, and to see one's own."""

from __future__ import annotations

from collections.abc import Mapping

from ...flask_simulcast import ForbiddenError, Grant
from ...identity.rights import Both, Identity, Publish
from ...identity.sender import HOLDER, current_sender
from ...web.right import Access


class _Own(Identity):
    """The right to one's own tasks. The holder of the publish key has it to all."""

    text = "a token with a user, for this user's tasks; or the publish key, for all"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = super().require(path)
        if not grant.user and current_sender() != HOLDER:
            raise ForbiddenError("Your token names no user, so it can have no tasks. Get one with a sub.", "no_user")
        return grant


class _Watch(_Own):
    """The same, for a stream: a ticket is accepted, too."""

    access = Access.LISTEN


OWN, WATCH = _Own(), _Watch()
START = Both(OWN, Publish("tasks"))
