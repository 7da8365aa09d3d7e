"""Revoking: end connections and grants, for the extension and for programs beside the workers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .errors import NoSuchListenerError
from .event import check_user

if TYPE_CHECKING:
    from .hub.hub import Hub


class Revoking(ABC):
    """The methods that end connections, in any worker. Each may switch."""

    @property
    @abstractmethod
    def hub(self) -> Hub:
        """The hub of this process, which sends the order."""

    def kick(self, listener: str, *, reconnect: bool = True) -> None:
        """Close one connection, in any worker. May switch.

        Args:
            reconnect: Whether the client may reconnect; if not, its token is revoked.

        Raises:
            NoSuchListenerError: No listener is connected under this id.
        """
        hub = self.hub
        place = hub.find_place(listener)
        if place is None:
            raise NoSuchListenerError(f"No listener is connected as {listener[:64]!a}. Perhaps it has left already.")
        if not reconnect and place.token_id:
            hub.control.revoke_token(place.token_id, hub.settings.max_grant_seconds)
        hub.control.kick(place.listener, reconnect=reconnect)
        hub.read_on()

    def revoke(self, *, user: str | None = None, token_id: str | None = None) -> None:
        """Revoke all grants that a user was given until now, or those of one token. May switch.

        Their streams end, in every worker, with ``closed`` and the reason ``revoked``, and receive nothing that is published
        later. The same tokens are refused from now on, for ``SIMULCAST_MAX_GRANT_SECONDS``.
        """
        hub = self.hub
        seconds = hub.settings.max_grant_seconds
        if user is not None:
            hub.control.revoke_user(check_user(user), time.time_ns() // 1_000_000, seconds)
        if token_id is not None:
            hub.control.revoke_token(token_id, seconds)
        hub.read_on()
