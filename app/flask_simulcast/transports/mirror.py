"""Mirror: what a worker saw of one request, and what it knows of itself. ``flask simulcast doctor`` asks for it.

Only a program that can write to the log gets an answer: it puts the hash of a key there, and sends the key in a header. All
other requests with this header are answered as if they had none.
"""

from __future__ import annotations

import logging
import os
import resource
from hashlib import sha256
from typing import Any, TypedDict

from flask import Request, Response, jsonify

from .. import server_log
from ..hub.hub import Hub
from ..loop import is_patched

HEADER = "Simulcast-Doctor"
#: Sent by the doctor with its key as the value, and set by the answer.
COOKIE = "simulcast_doctor"
#: The Content-Type of the answer, which no stream has.
CONTENT_TYPE = "application/vnd.simulcast.mirror+json"
_COOKIE_SECONDS = 60
_GUNICORN_LOG = "gunicorn.error"


class Reflection(TypedDict):
    """What the worker tells.

    Attributes:
        pid: Its process.
        server: ``SERVER_SOFTWARE``.
        protocol: The version that the request came with: ``HTTP/1.1``.
        origin: ``scheme://host`` under which the app sees itself.
        address: The client's address; empty if there is none.
        forwarded: Whether a proxy named the client's address in ``X-Forwarded-For``.
        trusts_proxy: Whether something in the worker replaced the address of the connection by a proxy's word.
        has_cookie: Whether the doctor's cookie came.
        is_patched: Whether gevent has patched the worker.
        has_hooks: Whether ``post_worker_init`` ran; None if the server is not gunicorn.
        descriptors: Number of files that the worker may open.
        max_listeners, max_listeners_per_address, heartbeat_seconds: Its settings.
    """

    pid: int
    server: str
    protocol: str
    origin: str
    address: str
    forwarded: bool
    trusts_proxy: bool
    has_cookie: bool
    is_patched: bool
    has_hooks: bool | None
    descriptors: int
    max_listeners: int
    max_listeners_per_address: int
    heartbeat_seconds: float


def name_of(key: str) -> str:
    """Return the name under which the log keeps a key: it has the hash alone."""
    return "doctor:" + sha256(key.encode()).hexdigest()


def is_for_doctor(request: Request) -> bool:
    """Tell whether a request says that it comes from the doctor."""
    return HEADER in request.headers


def reflect(hub: Hub, request: Request) -> Response | None:
    """Return the answer for the doctor; None for a request that does not come from it. Reads the log if it has the header.

    Raises:
        BrokerUnavailableError: The log can't be read.
    """
    key = request.headers.get(HEADER)
    if key is None or hub.broker.get_text(name_of(key)) is None:
        return None
    response = jsonify(_reflection(hub, request, key))
    response.content_type = CONTENT_TYPE
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(COOKIE, "back", max_age=_COOKIE_SECONDS)
    return response


def _reflection(hub: Hub, request: Request, key: str) -> Reflection:
    environ, settings = request.environ, hub.settings
    return Reflection(
        pid=os.getpid(),
        server=str(environ.get("SERVER_SOFTWARE", "")),
        protocol=str(environ.get("SERVER_PROTOCOL", "")),
        origin=request.host_url.rstrip("/"),
        address=request.remote_addr or "",
        forwarded="HTTP_X_FORWARDED_FOR" in environ,
        trusts_proxy="werkzeug.proxy_fix.orig" in environ or _peer_of(environ) not in (None, request.remote_addr or ""),
        has_cookie=request.cookies.get(COOKIE) == key,
        is_patched=is_patched(),
        has_hooks=_has_hooks() if "gunicorn.socket" in environ else None,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        max_listeners=settings.max_listeners,
        max_listeners_per_address=settings.max_listeners_per_address,
        heartbeat_seconds=settings.heartbeat_seconds,
    )


def _peer_of(environ: dict[str, Any]) -> str | None:
    """Return the address of the other end of the connection: empty for a unix socket, None if the server does not show it."""
    client = environ.get("gunicorn.socket")
    if client is None:
        return None
    peer = client.getpeername()
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _has_hooks() -> bool:
    return server_log.without_request in logging.getLogger(_GUNICORN_LOG).filters
