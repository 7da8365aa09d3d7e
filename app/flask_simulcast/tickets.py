"""Tickets let in a client that can't send a header. A browser's EventSource and WebSocket send only a URL and cookies.

A ticket is random, is valid for up to a minute, and lets a client in once. But an EventSource reconnects to the same URL, with
its ticket spent. So a browser that spends a ticket gets a cookie. The spent ticket goes on to let in only that browser, only at
that URL, one stream at a time, until the grant ends.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from .brokers.base import Broker
from .data import Default
from .grant import Grant

MAX_SECONDS = 60
_MAX_CHARACTERS = 64
# A browser usually has one cookie. Each look-up costs a read.
_MAX_COOKIES = 4
_TICKET = "ticket:"
_SPENT = "spent:"
_BROWSER = "browser:"


@dataclass(frozen=True)
class Found:
    """A valid ticket.

    Attributes:
        name: Name of the ticket in the log: its hash.
        grant: The grant that it stands for.
        is_spent: True if the browser that spent the ticket comes back with it.
    """

    name: str
    grant: Grant
    is_spent: bool


class Tickets:
    """Issues, finds and spends tickets, for all workers.

    Args:
        broker: Keeps the hashes of tickets and cookies.
        max_seconds: Seconds for which a spent ticket lets its browser in, if the grant has no end.
        default: Encodes values of a grant's meta that JSON can't hold; an app's ``app.json.default``.
    """

    def __init__(self, broker: Broker, max_seconds: float, default: Default | None = None) -> None:
        self.max_seconds = max_seconds
        self._broker = broker
        self._default = default

    def issue(self, grant: Grant, seconds: float) -> str:
        """Make a ticket for this grant. May switch.

        Args:
            seconds: Seconds for which the ticket is valid; at most 60, and never longer than the grant.
        """
        ticket = secrets.token_urlsafe(24)
        self._broker.put_text(
            _TICKET + _hashed(ticket), grant.to_json(self._default), min(seconds, MAX_SECONDS, self._left(grant))
        )
        return ticket

    def find(self, ticket: str, url: str, cookies: Sequence[str]) -> Found | None:
        """Look a ticket up without spending it. May switch.

        Args:
            url: The URL that the client requests. A spent ticket is valid only at the URL where it was spent.
            cookies: The cookies that the browser sends.

        Returns:
            None for a ticket that is unknown, expired, or spent by another browser or at another URL.
        """
        if len(ticket) > _MAX_CHARACTERS:
            return None
        name = _hashed(ticket)
        text = self._broker.get_text(_TICKET + name)
        if text is not None:
            return Found(name, Grant.from_json(text), is_spent=False)
        spent = self._broker.get_text(_SPENT + name)
        if spent is None:
            return None
        place, owner, text = json.loads(spent)
        is_theirs = any(hmac.compare_digest(owner, _hashed(cookie)) for cookie in cookies)
        return Found(name, Grant.from_json(text), is_spent=True) if is_theirs and place == _hashed(url) else None

    def spend(self, found: Found, url: str, cookie: str) -> Grant | None:
        """Spend a ticket that was found. If two clients try at once, one of them gets it. May switch.

        Args:
            url: The URL that the client requests.
            cookie: The cookie that lets the browser come back, from `cookie_for`; empty for a client that does not come back.

        Returns:
            The grant, with the name of the ticket in it; None if another client was faster.
        """
        if not found.is_spent:
            text = self._broker.pop_text(_TICKET + found.name)
            if text is None:
                return None
            if cookie:
                spent = json.dumps([_hashed(url), _hashed(cookie), text])
                self._broker.put_text(_SPENT + found.name, spent, self._left(found.grant))
        return replace(found.grant, ticket=found.name, redeemed_at=time.time())

    def cookie_for(self, cookies: Sequence[str]) -> str:
        """Return the cookie for a browser to keep: one that it sends, if it was made here, else a new one. May switch."""
        known = next((cookie for cookie in cookies[:_MAX_COOKIES] if self._is_ours(cookie)), None)
        cookie = known or secrets.token_urlsafe(24)
        self._broker.put_text(_BROWSER + _hashed(cookie), "", self.max_seconds)
        return cookie

    def _is_ours(self, cookie: str) -> bool:
        return self._broker.get_text(_BROWSER + _hashed(cookie)) is not None

    def _left(self, grant: Grant) -> float:
        return self.max_seconds if grant.expires_at is None else max(grant.expires_at - time.time(), 0)


def _hashed(secret: str) -> str:
    """Hash a secret. The log keeps only hashes, so a reader of its file can't use them."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()
