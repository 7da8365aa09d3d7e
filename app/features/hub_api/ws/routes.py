"""``/ws``: who may come in, and the connection."""

from __future__ import annotations

from flask import Blueprint

from ....extensions import simulcast, sock
from ....flask_simulcast import Connection
from ....identity import requests as auth
from ....web import query
from ....web.openapi.operation import Access, Operation, describes
from ..schemas import StreamQuery
from .session import Session, channels_of

blueprint = Blueprint("hub_ws", __name__)


def _before() -> None:
    """What can be answered as HTTP is: that nobody knows who asks, that they may not, that there is no room."""
    grant = auth.require_subscribe(channels_of(query.read(StreamQuery)))
    simulcast.check_capacity(grant)


@sock.route("/ws", blueprint, before=_before, text_only=True)
@describes(
    Operation(
        answers={101: None},
        access=Access.LISTEN,
        needs="`subscribe` on each channel; on `all`, to be let in at all",
        query=StreamQuery,
        errors=(426, 429, 503),
    )
)
def converse(ws: Connection) -> None:
    """The hub in both directions: listen to channels, publish, look back and around.

    JSON text; docs/websocket-hub.md describes it.
    """
    Session.open(ws, query.read(StreamQuery)).run()
