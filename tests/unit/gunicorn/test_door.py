"""The door of a `StreamWorker`, without sockets."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.flask_simulcast.gunicorn.door.connection import Connection
from app.flask_simulcast.gunicorn.door.server import Door


class _Door(Door):
    """A door with one connection, which has been silent for too long when it says something at the last moment."""

    def __init__(self, connection: Connection) -> None:
        self._connections = {connection: None}
        self._keepalive = 2
        self.dropped: list[Connection] = []

    closed = False

    def _read(self, connection: Connection) -> None:
        """Answer at once, as a handler does that does not wait."""
        connection.data = b""
        self._waits(connection)

    def drop(self, connection: Connection) -> None:
        self.dropped.append(connection)


class _SilentDoor(_Door):
    def _read(self, connection: Connection) -> None:
        pass


@pytest.mark.parametrize(("kind", "dropped"), [(_Door, 0), (_SilentDoor, 1)])
def test_a_connection_that_is_answered_at_the_last_moment_stays(kind: type[_Door], dropped: int) -> None:
    connection = Connection(None, None, None)  # type: ignore[arg-type]
    connection.since = time.monotonic() - 3
    door: Any = kind(connection)
    door._sweep()
    assert len(door.dropped) == dropped
