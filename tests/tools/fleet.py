"""Two workers of one log, each behind a port of its own, so that a test knows which one it talks to; and tokens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, CHAT_BURST_SECONDS, GRACE_SECONDS, Server, serve, together, wait_until

JWT_KEY = "j" * 32
CHAT = {
    "anonymous_channels": "chat.open*",
    "chat_anonymous": "true",
    "presence_lease_seconds": 2,
    "constants": {GRACE_SECONDS: 1, CHAT_BURST_SECONDS: 1000},
}


class Fleet(NamedTuple):
    """Two workers."""

    one: Server
    two: Server


@contextlib.contextmanager
def fleet(folder: Path, app: str = "tests.apps.hub_views:app", **settings: object) -> Iterator[Fleet]:
    """Start both.

    Args:
        folder: Has the log, and a working directory for each.
        app: What they serve.
        settings: As `serve`.
    """
    shared: dict[str, object] = {
        "broker_url": f"sqlite:///{folder}/log.db",
        "jwt_key": JWT_KEY,
        "publish_rate": 0,
        **settings,
    }
    with together(*(serve(folder / name, app=app, **shared) for name in Fleet._fields)) as servers:
        yield Fleet(*servers)


def token(user: str = "", **claims: Any) -> dict[str, str]:
    """The header with a token of this user; ``subscribe`` and ``publish`` are lists of patterns."""
    return {"Authorization": "Bearer " + mint(JWT_KEY, seconds=3600, user=user, **claims)}


def call(
    server: Server, method: str, path: str, body: Any = None, headers: dict[str, str] = BEARER, status: int = 200
) -> Any:
    """A request below ``/api/v1`` that must be answered with this status; its JSON, if it has any."""
    answered, _, text = server.request(method, "/api/v1" + path, body, headers)
    assert answered == status, text
    return json.loads(text) if text else None


def listen(server: Server, query: str, headers: dict[str, str] | None = None, **options: Any) -> SSEClient:
    """A connection to ``/stream?…``."""
    return SSEClient(server.port, f"/api/v1/stream?{query}", headers=headers, **options)


def connect(client: SSEClient) -> str:
    """Wait for ``connected``; the listener's id."""
    return str(client.until("connected").json["listener"])


def listed(server: Server, query: str = "") -> list[dict[str, Any]]:
    """``GET /listeners``."""
    return list(call(server, "GET", f"/listeners?{query}")["listeners"])


def wait_for_listeners(server: Server, ids: set[str]) -> None:
    """Until the register has these, wherever they are, and no other."""
    wait_until(lambda: {one["id"] for one in listed(server)} == ids, 5, f"listeners {ids}")
