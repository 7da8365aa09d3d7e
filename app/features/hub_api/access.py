"""Access: what a client needs for each thing that the hub does, over HTTP and over its WebSocket."""

from __future__ import annotations

from collections.abc import Mapping

from ...extensions import simulcast
from ...flask_simulcast import Grant
from ...identity.rights import Identity, Publish, PublishEach, Subscribe
from ...web import query
from ...web.errors import ApiError
from ...web.right import Access, Right
from . import reading
from .schemas import StreamQuery


class _Listen(Right):
    """To listen to each channel of the query. `Simulcast.stream` checks it, after it has counted the channels."""

    access = Access.LISTEN
    text = "`subscribe` on each channel; on `all`, to be let in at all"

    def require(self, path: Mapping[str, str]) -> Grant:
        return simulcast.grant()


class _ListenOnSocket(_Listen):
    """The same, checked before the handshake, when a refusal can be answered as HTTP."""

    def require(self, path: Mapping[str, str]) -> Grant:
        return simulcast.require_subscribe(query.read(StreamQuery).names, spends_ticket=False)


def _user(given: str) -> str:
    """Return the user of the path. Bytes that are not UTF-8 are replacement characters by now, and would be another user."""
    if "\ufffd" in given:
        raise ApiError(400, "not_utf8", "The user in the path is not UTF-8. Encode it as UTF-8, then as percent signs.")
    return given


LISTEN, LISTEN_ON_SOCKET = _Listen(), _ListenOnSocket()
PUBLISH = Publish("<channel>")
PUBLISH_EACH = PublishEach(reading.names_of)
BROADCAST = Publish("all")
TO_USER = Publish("user:<user>", user=_user)
TO_LISTENER = Publish("listener:<listener>")
LISTENERS = Subscribe("listener:any")
HISTORY = Subscribe("<channel>")
PRESENCE = Subscribe("presence:<channel>")
IDENTITY = Identity()
