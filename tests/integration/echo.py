"""Short forms of what the tests of WebSockets ask a server of tests.apps.echo."""

from __future__ import annotations

from tests.tools.inspection import count
from tests.tools.serving import Server

APP = "tests.apps.echo:app"
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}


def closed(server: Server, reason: str) -> int:
    return count(server, f'websocket_closed_total{{reason="{reason}"}}')


def url(server: Server, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"
