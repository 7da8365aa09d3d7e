"""Tickets: let in who can't send a header. A browser's EventSource and WebSocket have a URL and cookies, nothing else.

A ticket is random, holds for a minute at most, and lets in once. An EventSource reconnects to the same URL, though, with
its ticket spent. So whoever redeems one from a browser gets a cookie, and the spent ticket goes on to let in that browser
alone, until the grant ends.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from hashlib import sha256

from .brokers.base import Broker
from .grant import Grant

MAX_SECONDS = 60
_MAX_CHARACTERS = 64
_TICKET = "ticket:"
_SPENT = "spent:"


class Tickets:
    """Issues and redeems them, over all workers.

    Args:
        broker: Keeps them; of a ticket only its hash.
        max_seconds: For so long a spent ticket lets its browser in, where the grant has no end.
    """

    def __init__(self, broker: Broker, max_seconds: float) -> None:
        self._broker = broker
        self._max_seconds = max_seconds

    def issue(self, grant: Grant, seconds: float) -> str:
        """A new ticket for this grant. May switch.

        Args:
            seconds: For how long; at most 60, and not beyond the grant.
        """
        ticket = secrets.token_urlsafe(24)
        self._broker.keep(_TICKET + _hashed(ticket), grant.to_json(), min(seconds, MAX_SECONDS, self._left(grant)))
        return ticket

    def redeem(self, ticket: str, browser: str) -> Grant | None:
        """The grant behind a ticket; None for one that is unknown, over, or spent by somebody else. May switch.

        Args:
            browser: A secret of the browser's, from its cookie, that lets it in again; empty for no second time.
        """
        if len(ticket) > _MAX_CHARACTERS:
            return None
        name = _hashed(ticket)
        text = self._broker.take(_TICKET + name)
        if text is not None:
            grant = Grant.from_json(text)
            if browser:
                spent = json.dumps([_hashed(browser), text])
                self._broker.keep(_SPENT + name, spent, self._left(grant))
            return grant
        spent_text = self._broker.recall(_SPENT + name)
        if spent_text is None:
            return None
        owner, text = json.loads(spent_text)
        return Grant.from_json(text) if browser and hmac.compare_digest(owner, _hashed(browser)) else None

    def _left(self, grant: Grant) -> float:
        return self._max_seconds if grant.expires_at is None else max(grant.expires_at - time.time(), 0)


def _hashed(secret: str) -> str:
    """What is kept is of no use to whoever reads the file."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()
