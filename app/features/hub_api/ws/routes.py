"""``/ws``: who may come in, and the connection."""

from __future__ import annotations

from collections.abc import Mapping

from ....flask_simulcast import Connection, Grant
from ....identity import requests as auth
from ....web import query as asked
from ....web.api import Api
from ..routes import ListenToEach
from ..schemas import StreamQuery
from .session import Session, channels_of

api = Api("hub_ws", __name__)


class _ListenToEach(ListenToEach):
    """Asked before the handshake, when a refusal can be answered as HTTP."""

    def require(self, path: Mapping[str, str]) -> Grant:
        return auth.require_subscribe(channels_of(asked.read(StreamQuery)))


@api.websocket("/ws", needs=_ListenToEach(), query=StreamQuery)
def converse(ws: Connection, query: StreamQuery) -> None:
    """The hub in both directions: listen to channels, publish, look back and around.

    JSON text; docs/websocket-hub.md describes it.
    """
    Session.open(ws, query).run()
