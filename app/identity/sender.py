"""Sender: the identity of a request, where one client must not disturb another. An idempotency key counts only for its sender:
another client that uses the same key first can't suppress an event or have it refused. Each sender has its own share of a
worker's reads and waits."""

from __future__ import annotations

from ..extensions import simulcast
from ..flask_simulcast import address_of
from ..web.here import this_request

#: The sender of requests with the publish key: one trusted backend.
HOLDER = "publish key"
_ADDRESS = "address:"
#: The sender of clients without a token and without a known address.
UNKNOWN = _ADDRESS


def current_sender() -> str:
    """Return the sender of the current request: its user, whatever the token; else its token; else the publish key; else its
    address."""
    grant = simulcast.grant()
    if grant.revocable_as:
        return grant.revocable_as[0]
    if grant.publish:
        return HOLDER
    return _ADDRESS + address_of(this_request(), "what tells clients without a token apart")
