"""Tickets: let in a client that can't send a header. A browser's EventSource and WebSocket have a URL and cookies, nothing else.

A ticket is random, holds for up to a minute, and lets in once. An EventSource reconnects to the same URL, though, with its
ticket spent. So a browser that spends one is given a cookie, and the spent ticket goes on to let in that browser alone, at that
URL alone, one stream at a time, until the grant ends.
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
from .event import Default
from .grant import Grant

MAX_SECONDS = 60
_MAX_CHARACTERS = 64
# A browser has one cookie, as a rule. Each that is looked up costs a read.
_MAX_COOKIES = 4
_TICKET = "ticket:"
_SPENT = "spent:"
_BROWSER = "browser:"


@dataclass(frozen=True)
class Found:
    """A ticket that would let in.

    Attributes:
        name: Of the ticket, in the log: a hash of it.
        grant: What it stands for.
        is_spent: It comes back, from the browser that spent it.
    """

    name: str
    grant: Grant
    is_spent: bool


class Tickets:
    """Issues, finds and spends them, over all workers.

    Args:
        broker: Keeps them; of a ticket and of a cookie only the hash.
        max_seconds: Seconds for which a spent ticket lets its browser in, where the grant has no end.
        default: Makes JSON of what a grant's meta holds; an app's ``app.json.default``.
    """

    def __init__(self, broker: Broker, max_seconds: float, default: Default | None = None) -> None:
        self.max_seconds = max_seconds
        self._broker = broker
        self._default = default

    def issue(self, grant: Grant, seconds: float) -> str:
        """Make a ticket for this grant. May switch.

        Args:
            seconds: For how long; at most 60, and not beyond the grant.
        """
        ticket = secrets.token_urlsafe(24)
        self._broker.put_text(
            _TICKET + _hashed(ticket), grant.to_json(self._default), min(seconds, MAX_SECONDS, self._left(grant))
        )
        return ticket

    def find(self, ticket: str, url: str, cookies: Sequence[str]) -> Found | None:
        """Look a ticket up, and leave it unspent. May switch.

        Args:
            url: That the client asks for. A spent ticket is good for the one that it was spent at.
            cookies: What the browser brings.

        Returns:
            None for a ticket that is unknown, over, or spent by another browser or at another URL.
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
        """Take a ticket that was found: of two clients at once, one gets it. May switch.

        Args:
            url: As of `find`.
            cookie: With which the browser may come back, from `cookie_for`; empty for a client that does not come back.

        Returns:
            The grant, with the name of the ticket in it; None where another client was faster.
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
        """The cookie that a browser is to keep: one that it brings, if it was made here, else a new one. May switch."""
        known = next((cookie for cookie in cookies[:_MAX_COOKIES] if self._is_ours(cookie)), None)
        cookie = known or secrets.token_urlsafe(24)
        self._broker.put_text(_BROWSER + _hashed(cookie), "", self.max_seconds)
        return cookie

    def _is_ours(self, cookie: str) -> bool:
        return self._broker.get_text(_BROWSER + _hashed(cookie)) is not None

    def _left(self, grant: Grant) -> float:
        return self.max_seconds if grant.expires_at is None else max(grant.expires_at - time.time(), 0)


def _hashed(secret: str) -> str:
    """What is kept is of no use to a reader of the file."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()
