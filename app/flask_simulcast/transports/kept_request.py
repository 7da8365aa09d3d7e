"""What a WebSocket, or a call of RPC, keeps of its request: enough to make its contexts again for each message."""

from __future__ import annotations

import io
import marshal
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from flask.globals import app_ctx

# Values of an environ that are kept. The others are objects of the server: its socket, its streams.
_KEPT = (str, int, float, tuple, type(None))
# Those of a client alone. The others are alike for many clients, which then share them.
_OWN = (
    "HTTP_AUTHORIZATION", "HTTP_CONNECT_TIMEOUT_MS", "HTTP_COOKIE", "HTTP_FORWARDED", "HTTP_GRPC_TIMEOUT",
    "HTTP_SEC_WEBSOCKET_KEY", "HTTP_TRACEPARENT", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID",
    "QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_URI",
)  # fmt: skip
# What clients send may stay after they have left: a megabyte at most.
_MOST_SHARED, _MOST_SHARED_BYTES = 256, 4096

T = TypeVar("T", str, bytes)


class KeptRequest:
    """The current request, in a few hundred bytes. The request itself takes ten thousand, and ends with its view.

    Attributes:
        path: Path of its URL.
    """

    __slots__ = ("_app", "_g", "_others", "_own", "path")

    def __init__(self) -> None:
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        kept = {name: value for name, value in request.environ.items() if type(value) in _KEPT}
        self._own = marshal.dumps(tuple(kept.pop(name, None) for name in _OWN))
        self._others = _shared(marshal.dumps(kept))
        self._g: Any = g._get_current_object()
        self.path = _shared(request.path)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in an app context and a request context, with the same ``g``; then run the app's teardown functions.
        May switch."""
        own = zip(_OWN, marshal.loads(self._own), strict=True)
        environ = marshal.loads(self._others) | {name: value for name, value in own if value is not None}
        environ |= {"wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
        with self._app.app_context(), self._app.request_context(environ):
            app_ctx.g = self._g
            function()


def _shared(text: T) -> T:
    """Return the same object for the same text, if it is short."""
    return _first(text) if len(text) <= _MOST_SHARED_BYTES else text


@lru_cache(maxsize=_MOST_SHARED)
def _first(text: T) -> T:
    return text
