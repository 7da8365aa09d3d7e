"""Runs of `tests.apps.plain`, as a client has them."""

from __future__ import annotations

import json
from typing import Any

from tests.tools.clients import SSEClient
from tests.tools.serving import Server


def start(server: Server, events: int, pause: float = 0) -> tuple[str, int]:
    """Start one; return its id and the worker that produces."""
    status, _, body = server.request("POST", f"/runs?events={events}&pause={pause}")
    assert status == 200, body
    begun = json.loads(body)
    return begun["id"], begun["pid"]


def cancel(server: Server, id: str) -> bool:
    """Return whether this call ended it."""
    return bool(json.loads(server.request("DELETE", f"/runs/{id}")[2]))


def watch(server: Server, id: str, **options: Any) -> SSEClient:
    """Its stream."""
    client = SSEClient(server.port, f"/runs/{id}", **options)
    assert client.status == 200
    return client


def told(client: SSEClient) -> list[tuple[str, Any]]:
    """Read the stream to its end, which the server must say. Return types and data of the run's events."""
    blocks = [block for block in client.rest() if block.type not in ("connected", "heartbeat")]
    assert blocks, "the stream was cut"
    closed = blocks.pop()
    assert (closed.type, closed.json) == ("closed", {"reason": "finished", "reconnect": False})
    return [(block.type, block.json) for block in blocks]


def numbers(count: int) -> list[tuple[str, int]]:
    """What a run that was not disturbed says before its ending."""
    return [("progress", number) for number in range(count)]
