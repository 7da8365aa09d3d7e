"""Access: the grant of each request. The part of the extension for grants and tickets."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from flask import current_app, g

from . import redemption
from .errors import ForbiddenError, GrantError, UnauthorizedError, client_input
from .event import check_channel
from .grant import Grant
from .hub.hub import Hub
from .tickets import MAX_SECONDS, Tickets
from .transports.app_json import default_of

Authorizer = Callable[[], Grant | None]
A = TypeVar("A", bound=Authorizer)

_NOBODY = Grant()


class Access(ABC):
    """The methods for grants and tickets. `Simulcast` inherits them."""

    #: Channel prefixes that the app reserves. A grant's pattern must spell them out.
    reserved: tuple[str, ...] = ()
    #: Value of ``WWW-Authenticate`` in a 401. Empty for an app whose users log in on a page.
    challenge: str = ""
    _authorizer: Authorizer | None = None

    @property
    @abstractmethod
    def hub(self) -> Hub:
        """The app's hub in this process. It remembers what was revoked."""

    def authorizer(self, function: A, *, challenge: str = "") -> A:
        """Register the function that returns the `Grant` of the current request, or None for an unknown client.

        From then on `sse` and the other streams accept a listener only if its grant names the channels. Without an authorizer,
        each view decides.

        Args:
            challenge: Value of ``WWW-Authenticate``, for example ``Bearer`` if clients send a token in a header. A 401 carries
                it, and its message says how to send the token. Leave it out if users log in on a page.
        """
        self._authorizer = function
        self.challenge = challenge
        return function

    def grant(self) -> Grant:
        """Return the grant of the current request; an empty one for an unknown client. Calls the authorizer once a request.

        Raises:
            UnauthorizedError: The grant has ended, or was revoked. Errors that the authorizer raises pass through.
        """
        kept = g._get_current_object()  # each use of the proxy takes 0.6 µs
        grant: Grant | None = kept.get("simulcast_grant")
        if grant is None:
            grant = (self._authorizer() if self._authorizer else None) or _NOBODY
            self._check_grant(grant)
            kept.simulcast_grant = grant
        return grant

    def take_grant(self, grant: Grant) -> None:
        """Check a grant, and take it for the one of this context, instead of asking the authorizer: for a hot route, which has
        no request. May switch.

        Raises:
            UnauthorizedError: The grant has ended, or was revoked.
        """
        self._check_grant(grant)
        g.simulcast_grant = grant

    def check_grant(self) -> None:
        """Check again that the current request's grant is valid. Call it after a wait, right before the action that the grant
        allows: a token can expire, or be revoked, while a body arrives. May switch.

        Raises:
            UnauthorizedError: The grant has ended, or was revoked.
        """
        grant: Grant | None = g.get("simulcast_grant")
        if grant is not None:
            self._check_grant(grant)

    def require_subscribe(self, channels: Iterable[str], *, spends_ticket: bool = True) -> Grant:
        """Require that the current request may listen to all of these channels; return its grant. May switch.

        Args:
            spends_ticket: Whether to spend the ticket, if the request came with one. Pass False if the request might still be
                refused for another reason. Then a stream spends the ticket when it is opened; before the handshake of a
                WebSocket, call `spend_ticket` last.

        Raises:
            UnauthorizedError, ForbiddenError: The grant does not name a channel.
        """
        grant = self.grant()
        for channel in channels:
            with client_input():
                check_channel(channel)
            if not grant.may_subscribe(channel, self.reserved):
                raise _refusal(grant, "listen to", channel, self.challenge)
        return self.spend_ticket() if spends_ticket else grant

    def require_publish(self, channels: Iterable[str]) -> Grant:
        """Require that the current request may publish to all of these channels; return its grant. ``flask_simulcast.grant``
        says what reserved names mean here.

        Raises:
            UnauthorizedError, ForbiddenError: The grant does not name a channel.
        """
        grant = self.grant()
        for channel in channels:
            if not grant.may_publish(channel, self.reserved):
                raise _refusal(grant, "publish to", channel, self.challenge)
        return grant

    def issue_ticket(self, grant: Grant, *, seconds: float = MAX_SECONDS) -> str:
        """Return a new ticket, which lets one client in once: for EventSource and WebSocket, which can't send a header.
        May switch.

        Args:
            seconds: Lifetime of the ticket; at most 60.
        """
        return self._tickets().issue(grant, seconds)

    def redeem_ticket(self, ticket: str) -> Grant | None:
        """Return the grant behind a ticket of the current request; None if it is unknown, expired or spent. May switch.

        For use in an authorizer. The ticket is spent once the request is found to be allowed to listen; a request that names
        the wrong channel does not spend it. A browser's EventSource that reconnects to the same URL is let in again, by a
        cookie that it was given, and its new stream replaces the earlier one. No other client is let in twice.
        """
        return redemption.find(self._tickets(), ticket)

    def spend_ticket(self) -> Grant:
        """Spend the ticket of the current request, if it came with one, and return the request's grant. Call it once nothing
        else can refuse the request. May switch.

        Raises:
            UnauthorizedError: Another client spent it a moment ago.
        """
        redeemed = redemption.spend(self._tickets())
        if redeemed is None:
            return self.grant()
        grant = g.simulcast_grant = redeemed.grant
        if redeemed.is_back:
            self.hub.control.displace(grant)
            self.hub.read_on()
        return grant

    def _grant_for(self, channels: tuple[str, ...], given: Grant | None) -> Grant:
        """Return the grant of a listener: the one that its view gave, or else the request's."""
        if given is not None:
            self._check_grant(given)
            return given
        return self.require_subscribe(channels, spends_ticket=False) if self._authorizer else _NOBODY

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
        known = f"You are not allowed to {shown}. Ask for the right to do so."
    return UnauthorizedError(unknown) if grant.is_anonymous else ForbiddenError(known, "not_granted")
