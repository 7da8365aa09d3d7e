"""Access: who asks, and what they may do. The part of the extension that grants, tickets and revocations belong to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from flask import current_app, g

from . import redemption
from .errors import ForbiddenError, GrantError, UnauthorizedError, client_input
from .event import check_channel, check_user
from .grant import Grant
from .hub.hub import Hub
from .tickets import MAX_SECONDS, Tickets
from .transports.app_json import default_of

Authorizer = Callable[[], Grant | None]
A = TypeVar("A", bound=Authorizer)

_NOBODY = Grant()


class Access(ABC):
    """What a request may do."""

    #: Prefixes of channels of the app's own, which a grant must spell out.
    reserved: tuple[str, ...] = ()
    #: For ``WWW-Authenticate`` in a 401; empty where people log in on a page.
    challenge: str = ""
    _authorizer: Authorizer | None = None

    @property
    @abstractmethod
    def hub(self) -> Hub:
        """Which remembers what was revoked."""

    def authorizer(self, function: A, *, challenge: str = "") -> A:
        """Register what says who asks: called in a request, it returns a `Grant`, or None for nobody.

        From then on `sse` and its like take only listeners whose grant names the channels. Without one, each view decides.

        Args:
            challenge: How a client says who it is, as ``WWW-Authenticate`` has it: ``Bearer`` where it sends a token in a header.
                A 401 carries it, and its message says so. Leave it out where people log in on a page.
        """
        self._authorizer = function
        self.challenge = challenge
        return function

    def grant(self) -> Grant:
        """The grant of the current request: an empty one for nobody. Asked once a request.

        Raises:
            UnauthorizedError: It has ended, or was revoked. What the authorizer raises passes through.
        """
        if "simulcast_grant" not in g:
            grant = (self._authorizer() if self._authorizer else None) or _NOBODY
            self._check_grant(grant)
            g.simulcast_grant = grant
        return g.simulcast_grant  # type: ignore[no-any-return]

    def check_grant(self) -> None:
        """Check again that the current request's grant still holds. Call it after a wait, right before what the grant allows:
        a token may expire, or be revoked, while a body arrives. May switch.

        Raises:
            UnauthorizedError: It has ended, or was revoked.
        """
        if "simulcast_grant" in g:
            self._check_grant(g.simulcast_grant)

    def require_subscribe(self, channels: Iterable[str]) -> Grant:
        """The grant of the current request, if it names all of these channels.

        Raises:
            UnauthorizedError, ForbiddenError: It does not.
        """
        grant = self.grant()
        for channel in channels:
            with client_input():
                check_channel(channel)
            if not grant.may_subscribe(channel, self.reserved):
                raise _refusal(grant, "listen to", channel, self.challenge)
        return self._spend_ticket() or grant

    def require_publish(self, channels: Iterable[str]) -> Grant:
        """The same for publishing; `Grant` says what reserved names mean here.

        Raises:
            UnauthorizedError, ForbiddenError: It does not.
        """
        grant = self.grant()
        for channel in channels:
            if not grant.may_publish(channel, self.reserved):
                raise _refusal(grant, "publish to", channel, self.challenge)
        return grant

    def issue_ticket(self, grant: Grant, *, seconds: float = MAX_SECONDS) -> str:
        """A ticket that lets in once, for who can't send a header: EventSource and WebSocket. May switch.

        Args:
            seconds: For how long; at most 60.
        """
        return self._tickets().issue(grant, seconds)

    def redeem_ticket(self, ticket: str) -> Grant | None:
        """The grant behind a ticket that the current request carries; None for one that is unknown, over, or spent. May switch.

        For an authorizer. The ticket is spent when the request is found to be allowed to listen, and not by one that names
        the wrong channel. A browser's EventSource that comes back to the same URL is let in again, by a cookie that it is
        given, and takes the place of its stream from before; nothing else is.
        """
        return redemption.find(self._tickets(), ticket)

    def revoke(self, *, user: str | None = None, token_id: str | None = None) -> None:
        """End what was granted: to a user until now, or by one token. May switch.

        Streams end, in every worker, with ``closed`` and the reason ``revoked``; nothing that is published later reaches
        them. The same tokens are refused from now on, for ``SIMULCAST_MAX_GRANT_SECONDS``.
        """
        hub = self.hub
        seconds = hub.settings.max_grant_seconds
        if user is not None:
            hub.control.revoke_user(check_user(user), time.time_ns() // 1_000_000, seconds)
        if token_id is not None:
            hub.control.revoke_token(token_id, seconds)
        hub.read_on()

    def _grant_for(self, channels: tuple[str, ...], given: Grant | None) -> Grant:
        """The grant of a listener: the one that the view gives, who decides itself, or the request's."""
        if given is not None:
            self._check_grant(given)
            return given
        return self.require_subscribe(channels) if self._authorizer else _NOBODY

    def _spend_ticket(self) -> Grant | None:
        """The current request may listen: the ticket that it came with, if any, is spent now."""
        redeemed = redemption.spend(self._tickets())
        if redeemed is None:
            return None
        grant = g.simulcast_grant = redeemed.grant
        if redeemed.is_back:
            self.hub.control.displace(grant)
            self.hub.read_on()
        return grant

    def _check_grant(self, grant: Grant) -> None:
        if grant.expires_at is not None and grant.expires_at <= time.time():
            raise UnauthorizedError("What let you in has expired. Get a new token, or log in again.", "token_expired")
        if grant.revocable_as and self.hub.control.is_revoked(grant):
            raise UnauthorizedError("What let you in was revoked. Get a new token, or log in again.", "token_revoked")

    def _tickets(self) -> Tickets:
        hub = self.hub
        return Tickets(hub.broker, hub.settings.max_grant_seconds, default_of(current_app))


def _refusal(grant: Grant, what: str, channel: str, challenge: str) -> GrantError:
    shown = f"{what} {channel[:128]!a}"
    if challenge.startswith("Bearer"):
        unknown = f"Not everyone may {shown}. Send a token that grants it in the header Authorization: Bearer <token>."
        known = f"Your token does not let you {shown}. Get one that does."
    else:
        unknown = f"Not everyone may {shown}. Log in first."
        known = f"You may not {shown}. Ask for the right to do so."
    return UnauthorizedError(unknown) if grant.is_anonymous else ForbiddenError(known, "not_granted")
