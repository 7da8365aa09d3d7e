"""The client's socket, which a WSGI server keeps owning: found in the environ, and broken when the client has to go."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any


def socket_of(environ: dict[str, Any]) -> Any:
    """The client's gevent socket, where the server shows it; else None."""
    client = environ.get("gunicorn.socket")
    return client if hasattr(client, "_sock") else None


def cut(client: Any) -> None:
    """Break the connection. May be called twice, and with None."""
    # The plain socket below gevent's: its own shutdown raises EBADF in the greenlet that writes, as if something were wrong.
    plain = getattr(client, "_sock", client)
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
