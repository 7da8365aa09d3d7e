"""``/ws``: the right to connect, and the connection."""

from __future__ import annotations

from ....flask_simulcast import Connection
from ....web.api import Api
from .. import access
from ..schemas import StreamQuery
from .session import Session

api = Api("hub_ws", __name__)


@api.websocket("/ws", needs=access.LISTEN_ON_SOCKET, query=StreamQuery)
def converse(ws: Connection, query: StreamQuery) -> None:
    """Use the hub in both directions: listen to channels, publish, read history, list members.

    JSON text; docs/websocket-hub.md describes it.
    """
    Session.open(ws, query).begin()
