"""What a WebSocket keeps of its request: enough to make the request's contexts again for each of its messages."""

from __future__ import annotations

import io
import marshal
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, g, request
from flask.globals import app_ctx

# Values of an environ that are kept. The others are objects of the server: its socket, its streams.
_KEPT = (str, int, float, tuple, type(None))


class KeptRequest:
    """The current request, in a few hundred bytes. The request itself takes ten thousand, and ends with its view.

    Attributes:
        path: Path of its URL.
    """

    __slots__ = ("_app", "_environ", "_g", "path")

    def __init__(self) -> None:
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        self._environ = marshal.dumps({name: value for name, value in request.environ.items() if type(value) in _KEPT})
        self._g: Any = g._get_current_object()
        self.path = request.path

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in an app context and a request context, with the same ``g``; then run the app's teardown functions.
        May switch."""
        environ = marshal.loads(self._environ)
        environ |= {"wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
        with self._app.app_context(), self._app.request_context(environ):
            app_ctx.g = self._g
            function()
