"""Desk: answers hot requests by the handlers of the app, each in a short greenlet."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask
from gunicorn.glogging import Logger

from ...app_state import KEY, AppState
from ...hot import Publish, Reply
from ...transports.handover import RESPONSE
from ...transports.stream import Stream
from .connection import Connection
from .greenlets import Greenlets
from .head import Head
from .press import Press
from .response import Response, head_of_stream, of_flask, whole

if TYPE_CHECKING:
    from .server import Door

_LAST_CHUNK = b"0\r\n\r\n"


class Asked:
    """One request on its way through the desk.

    Attributes:
        door, connection: Where it came from.
        head, environ, body: The request.
        response: What is answered.
        began: When it came.
    """

    __slots__ = ("began", "body", "connection", "door", "environ", "head", "response")

    def __init__(self, door: Door, connection: Connection, head: Head, environ: dict[str, Any], body: bytes) -> None:
        self.door = door
        self.connection = connection
        self.head = head
        self.environ = environ
        self.body = body
        self.response = Response()
        self.began = time.perf_counter()
        environ["gunicorn.socket"] = connection.client
        environ[RESPONSE] = self.response


class Desk:
    """Answers the hot requests of one worker.

    Args:
        worker: gunicorn's worker.
        app: Its app.
    """

    def __init__(self, worker: Any, app: Flask) -> None:
        state: AppState = app.extensions[KEY]
        self._worker = worker
        self._app = app
        self._routes = state.hot
        self._answers = state.metrics.answers
        self._has_log = _has_access_log(worker.log)
        self._handlers = state.hot.handlers(app)
        self._greenlets = Greenlets()
        self._press = Press(self, self._greenlets)

    def is_for(self, head: Head) -> bool:
        """Tell whether there is a hot route for this request."""
        return (head.method, head.path) in self._handlers

    def put(self, asked: Asked) -> None:
        """Answer a request, in a greenlet of its own: a handler may wait for the log. Does not switch."""
        self._greenlets.run(self._serve, asked)

    def _serve(self, asked: Asked) -> None:
        try:
            plan = self._plan(asked)
            if plan is None:
                asked.door.hand_over(asked.connection)
            elif isinstance(plan, Publish):
                self._press.put(asked, plan)
            elif isinstance(plan.body, bytes):
                self.answer(asked, plan)
            else:
                self._stream(asked, plan, plan.body)
        except Exception:
            self._worker.log.exception("Error handling request")
            asked.door.drop(asked.connection)

    def _plan(self, asked: Asked) -> Reply | Publish | None:
        """Return what the handler wants; None if Flask must answer. May switch."""
        for adjust in self._routes.adjusts:
            adjust(asked.environ)
        if not self._routes.may_answer(self._app, asked.environ):
            return None
        with self._app.app_context():
            try:
                return self._handlers[asked.head.method, asked.head.path](
                    self._app.request_class(asked.environ, populate_request=False), asked.body
                )
            except Exception:
                return None  # Flask meets the same error, and answers it

    # Answers that are complete

    def answer(self, asked: Asked, reply: Reply) -> None:
        """Send an answer, and go on with the connection. Does not switch."""
        assert isinstance(reply.body, bytes)
        self._count(reply)
        self._send(asked, reply, reply.body)

    def fail(self, asked: Asked, error: Exception) -> None:
        """Send Flask's answer to an error. Call it where the error was caught."""
        reply = of_flask(self._app, asked.environ, error)
        assert isinstance(reply.body, bytes)
        self._count_request()
        self._send(asked, reply, reply.body)

    def _send(self, asked: Asked, reply: Reply, body: bytes) -> None:
        closes = not (asked.head.stays_open and self._worker.alive)
        data = whole(reply, body, closes=closes)
        asked.response.sent = len(body)
        self._log(asked, reply)
        try:
            sent = asked.connection.client.send_now(data)
        except OSError:
            asked.door.drop(asked.connection)
            return
        if sent < len(data):
            self._greenlets.run_soon(self._send_rest, asked, data[sent:], closes)
        else:
            self._go_on(asked, closes)

    def _send_rest(self, asked: Asked, rest: bytes, closes: bool) -> None:
        """Wait until the client has taken the rest, as gunicorn does. Switches."""
        try:
            asked.connection.client.sendall(rest)
        except OSError:
            closes = True
        self._go_on(asked, closes)

    def _go_on(self, asked: Asked, closes: bool) -> None:
        if closes:
            asked.door.drop(asked.connection)
        else:
            asked.door.ready(asked.connection)

    # Streams

    def _stream(self, asked: Asked, reply: Reply, stream: Stream) -> None:
        """Send a stream until it parks, which is soon, or ends. Switches."""
        client, response = asked.connection.client, asked.response
        asked.connection.unwatch()  # the stream has a watch of its own
        self._count(reply)
        head = head_of_stream(reply)
        try:
            with suppress(OSError):  # the client has left
                for chunk in stream:
                    response.sent += len(chunk)
                    _send_all(client, head + b"%X\r\n%b\r\n" % (len(chunk), chunk))
                    head = b""
                if response.chunked:
                    _send_all(client, head + _LAST_CHUNK)
        finally:
            self._log(asked, reply)
            stream.close()
            asked.door.drop(asked.connection)

    # What gunicorn does for each request

    def _count(self, reply: Reply) -> None:
        self._answers[int(reply.status[:3])] += 1
        self._count_request()

    def _count_request(self) -> None:
        worker = self._worker
        worker.nr += 1
        if worker.nr >= worker.max_requests and worker.alive:
            worker.log.info("Autorestarting worker after current request.")
            worker.alive = False

    def _log(self, asked: Asked, reply: Reply) -> None:
        if not self._has_log:
            return
        response = asked.response
        response.status, response.headers = reply.status, reply.headers
        elapsed = timedelta(seconds=time.perf_counter() - asked.began)
        self._worker.log.access(response, asked.head, asked.environ, elapsed)


def _has_access_log(log: Any) -> bool:
    """Tell whether gunicorn's logger does anything with an access line; a team's own class may do what it likes."""
    return type(log).access is not Logger.access or getattr(log, "access_log_enabled", True)


def _send_all(client: Any, data: bytes) -> None:
    """Send all of it. Switches if the client is slow."""
    sent = client.send_now(data)
    if sent < len(data):
        client.sendall(data[sent:])
