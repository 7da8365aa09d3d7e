"""Opening: whether a worker can have a door, and the way back to it from gunicorn."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask
from gunicorn.config import PostRequest, PreRequest
from gunicorn.http.body import LengthReader

from ...app_state import KEY
from ...transports.handover import ShowsResponse
from .client import Client
from .desk import Desk
from .server import Door


def door_for(worker: Any) -> Callable[..., Door] | None:
    """Return what makes the server for each listening socket; None if gunicorn's own must do, which is logged with the reason."""
    app = worker.wsgi.app if isinstance(worker.wsgi, ShowsResponse) else None
    if not isinstance(app, Flask) or KEY not in app.extensions:
        worker.log.info("No hot routes: gunicorn has no app with Simulcast, or its hooks are missing.")
        return None
    doubt = _doubt(worker.cfg) or app.extensions[KEY].hot.doubt(app)
    if doubt:
        worker.log.info("No hot routes: %s.", doubt)
        return None
    return partial(Door, worker=worker, desk=Desk(worker, app))


def _doubt(cfg: Any) -> str:
    """Return which setting of gunicorn makes it see requests that the door can't read as it does; empty for none."""
    if cfg.is_ssl:
        return "gunicorn ends TLS itself"
    for name in ("proxy_protocol", "http2_cleartext"):
        if getattr(cfg, name, False) not in (False, "off"):
            return f"{name} is set"
    if getattr(cfg, "protocol", "http") != "http":
        return "protocol is not http"
    if not cfg.keepalive:
        return "keepalive is 0"
    if cfg.pre_request is not PreRequest.pre_request or cfg.post_request is not PostRequest.post_request:
        return "pre_request or post_request is set"
    return "SCRIPT_NAME is set" if os.environ.get("SCRIPT_NAME") else ""


def give_back(worker: Any, req: Any, client: Any, address: Any) -> None:
    """Let a connection wait at its door, if gunicorn has answered a request and has nothing else to read from it.

    Raises:
        StopIteration: It waits there. The socket that gunicorn has is closed.
    """
    if not isinstance(client, Client) or client.fileno() < 0 or not worker.alive or not _is_read(req, client):
        return
    client.door.take(client.moved(), address)
    raise StopIteration


def _is_read(req: Any, client: Client) -> bool:
    """Tell whether all bytes that the door and gunicorn have read belong to this request."""
    reader: Any = getattr(req.body, "reader", None)
    is_whole = type(reader) is LengthReader and reader.length == 0
    return is_whole and not (client.has_unread or req.unreader.buf.getvalue())
