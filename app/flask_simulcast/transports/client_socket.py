"""The client's socket, which the WSGI server owns: find it in the environ, and break it when the client has to go."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from ..loop import is_patched


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the client's socket if the server shows it, and if it is gevent's in a patched process; else None."""
    client = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    return client if hasattr(client, "_sock") or not is_patched() else None


def cut(client: Any) -> None:
    """Break the connection. May be called twice, and with None."""
    # If it is gevent's, the plain socket below it: gevent's shutdown raises EBADF in the greenlet that writes, which looks like
    # a fault.
    plain = getattr(client, "_sock", client)
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
