"""The client's socket, which the WSGI server owns: find it in the environ, and break it when the client has to go."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the client's gevent socket if the server shows it; else None."""
    client = environ.get("gunicorn.socket")
    return client if hasattr(client, "_sock") else None


def cut(client: Any) -> None:
    """Break the connection. May be called twice, and with None."""
    # The plain socket below gevent's: gevent's shutdown raises EBADF in the greenlet that writes, which looks like a fault.
    plain = getattr(client, "_sock", client)
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
