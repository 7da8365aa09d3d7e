"""The calls of the extension, with the limits and senders of the HTTP routes."""

from __future__ import annotations

from flask import Blueprint

from ...extensions import simulcast
from ...identity.sender import current_sender
from ...web import limits


def calls(*, reflection: bool) -> Blueprint:
    """Return the blueprint. Made only where it is wanted, because it loads protobuf."""
    return simulcast.rpc(before_publish=limits.check_publish, sender=current_sender, reflection=reflection)
