"""The WebSocket routes of `echo` in an app with what others bring along: a tracer around it, and flask-sock's own configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

from flask import Response, jsonify

from app.flask_simulcast import Connection
from tests.apps import echo
from tests.apps.echo import app

requests: list[dict[str, Any]] = []
app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["mqtt", "wamp"], "max_message_size": 1000, "ping_interval": None}


class Tracer:
    """Notes of each request what Sentry and OpenTelemetry report: its status, and an exception that passes through."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        note = {"path": environ["PATH_INFO"], "status": None, "exception": None, "is_closed": False}
        requests.append(note)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            note["status"] = status
            return start_response(status, headers, *exc_info)

        try:
            body = self._app(environ, start)
        except BaseException as error:
            note["exception"] = type(error).__name__
            raise
        return self._pass_on(body, note)

    @staticmethod
    def _pass_on(body: Iterable[bytes], note: dict[str, Any]) -> Iterator[bytes]:
        try:
            yield from body
        except BaseException as error:
            note["exception"] = type(error).__name__
            raise
        finally:
            note["is_closed"] = True
            getattr(body, "close", lambda: None)()


@app.get("/traced")
def traced() -> Response:
    """What the tracer has noted."""
    return jsonify(requests)


@echo.sock.route("/configured")
def configured(ws: Connection) -> None:
    """Says what was agreed on, by the app's configuration, and then whatever it hears."""
    ws.send(repr(ws.subprotocol))
    echo.echo(ws)


app.wsgi_app = validator(Tracer(validator(app.wsgi_app)))  # type: ignore[method-assign,arg-type,assignment]
