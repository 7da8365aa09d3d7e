"""Access: which client may ask, and which may watch an answer."""

from __future__ import annotations

from collections.abc import Mapping

from flask import current_app

from ...extensions import simulcast
from ...flask_simulcast import Grant, RunState
from ...flask_simulcast.errors import NoSuchRunError
from ...identity.rights import Publish
from ...web.right import Access, Right
from . import wire

CHANNEL = "completions"


class Ask(Publish):
    """To ask. With ``SIMULCAST_COMPLETIONS_ANONYMOUS`` a client without a token may ask, too."""

    def __init__(self, access: Access) -> None:
        super().__init__(CHANNEL)
        self.access = access  # type: ignore[misc]
        self.text += "; nothing where the service answers clients without a token"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = simulcast.grant()
        is_open = current_app.config["SIMULCAST_COMPLETIONS_ANONYMOUS"] and grant.is_anonymous
        return grant if is_open else super().require(path)


class Own(Right):
    """An answer of one's own: one's user asked for it. An answer without a user is known only to clients that have its id,
    which is random."""

    def __init__(self, access: Access) -> None:
        self.access = access  # type: ignore[misc]
        self.text = "that your user asked for it"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = simulcast.grant()
        find(path["id"], grant)
        return grant


def find(id: str, grant: Grant) -> RunState:
    """Return the run of an answer of this grant's user.

    Raises:
        NoSuchRunError: It is unknown, no answer, or another user's: a client can't tell which.
    """
    if not id.startswith(wire.ID_PREFIX):
        raise NoSuchRunError(id)
    state = simulcast.run_state(id)
    if state.user != grant.user:
        raise NoSuchRunError(id)
    return state


ASK, RESUME = Ask(Access.READ), Ask(Access.LISTEN)
WATCH, READ = Own(Access.LISTEN), Own(Access.READ)
