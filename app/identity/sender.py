"""Sender: who a request is, where one client must not get in another's way. An idempotency key that a client has chosen is its
sender's own: no other client can take an event away, or have it refused, by using the same key first. Each has its own share of
what a worker can read and wait for."""

from __future__ import annotations

from flask import request

from ..extensions import simulcast
from ..flask_simulcast import address_of

#: The sender of what comes with the publish key: one backend that is trusted.
HOLDER = "publish key"
_ADDRESS = "address:"
#: Of clients without a token whose address is not known.
UNKNOWN = _ADDRESS


def current_sender() -> str:
    """Of the current request: its user, with all the tokens that they have; else its token; else the publish key; else its
    address."""
    grant = simulcast.grant()
    if grant.revocable_as:
        return grant.revocable_as[0]
    if grant.publish:
        return HOLDER
    return _ADDRESS + address_of(request, "what tells clients without a token apart")
