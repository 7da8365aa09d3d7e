"""An app of one's own on a log in memory, and what people put around one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from app.flask_simulcast import Simulcast

bare = Flask(__name__)
bare.config["SIMULCAST_BROKER_URL"] = "memory://"
bare.config["SIMULCAST_HEARTBEAT_SECONDS"] = 30
simulcast = Simulcast(bare)


@bare.get("/stream")
def stream() -> Response:
    """One channel."""
    return simulcast.sse("a")


@bare.post("/publish")
def publish() -> Response:
    """To it."""
    simulcast.publish("a", os.getpid())
    return jsonify(os.getpid())


@bare.get("/pid")
def pid() -> Response:
    """Without a use of the log."""
    return jsonify(os.getpid())


@bare.get("/socket")
def options_of_this_connection() -> Response:
    """In seconds."""
    client = request.environ["gunicorn.socket"]
    return jsonify(
        idle=client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        user_timeout=client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) // 1000,
    )


def function(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """As simple as it can be."""
    return bare(environ, start_response)


class Slotted:
    """An object that has no attribute but what it needs."""

    __slots__ = ()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return bare(environ, start_response)


proxied = ProxyFix(bare)
dispatched = DispatcherMiddleware(bare, {"/elsewhere": Flask("elsewhere")})
slotted = Slotted()
