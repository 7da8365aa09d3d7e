"""A real stream on a real server, which breaks in the ways in which real streams break."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from ..encoding.sse import SSE
from ..extension import Simulcast
from ..transports.goodbye import END_ID, closed_data

COUNT = 20
_CHANNEL = "numbers"
_RETRY_MS = 20
_POLL_SECONDS = 0.02
_END_OF_BLOCK = b"\n\n"
_EVENT = b'data: {"n":'
_LAST_EVENT = b'{"n":%d}\n\n' % COUNT
_HALF = -6  # the id is whole, and the data is not


@dataclass(frozen=True)
class Break:
    """How one connection ends.

    Attributes:
        how: The end, in words.
        after: Number of events before it.
        is_half: Whether half of the next event comes before it.
        last_words: Reason of the event ``closed`` before it; empty for none.
        is_last: Whether that event says not to reconnect.
    """

    how: str
    after: int
    is_half: bool = False
    last_words: str = ""
    is_last: bool = False


PLAN = (
    Break("was cut within the next event", 3, is_half=True),
    Break("was cut right after `connected`", 0),
    Break("was cut between two events", 5),
    Break("was closed with reconnect: true", 4, last_words="draining"),
    Break("was closed with reconnect: false", COUNT, last_words="finished", is_last=True),
)


class BreakingStream:
    """Serves 20 events on a free port of 127.0.0.1, while its block runs.

    Attributes:
        url: The address of the stream.
        ids: The ``Last-Event-ID`` of each request; empty for none.
        begins: The number of the event with which each connection begins.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.begins: list[int] = []
        self._app = Flask("breaking_stream")
        self._app.config.update(SIMULCAST_BROKER_URL="memory://", SIMULCAST_RETRY_MS=_RETRY_MS)
        self._app.after_request(_for_any_page)
        self._app.add_url_rule(f"/{_CHANNEL}", view_func=self._stream)
        self._simulcast = Simulcast(self._app)
        self._numbers: dict[str, int] = {}
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.port}/{_CHANNEL}"

    def __enter__(self) -> BreakingStream:
        with self._app.app_context():
            for n in range(1, COUNT + 1):
                self._numbers[str(self._simulcast.publish(_CHANNEL, {"n": n}).position)] = n
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._simulcast.close(self._app)

    def _stream(self) -> Response:
        id = request.headers.get("Last-Event-ID", "")
        self.ids.append(id)
        response = self._simulcast.sse(_CHANNEL, replay=COUNT)
        if response.status_code != 200:
            return response
        plan = PLAN[min(len(self.begins), len(PLAN) - 1)]
        self.begins.append(self._numbers.get(id, 0) + 1)
        return Response(_Breaking(response.response, plan), headers=response.headers)


def _for_any_page(response: Response) -> Response:
    """Let a page of any origin read it: a client may run in a browser, in a page of another test server."""
    response.headers["Access-Control-Allow-Origin"] = response.headers["Access-Control-Allow-Headers"] = "*"
    return response


class _Breaking:
    """A body that ends as planned. Then the server ends the connection."""

    def __init__(self, stream: Any, plan: Break) -> None:
        self._stream = stream
        self._plan = plan

    def __iter__(self) -> Iterator[bytes]:
        plan, sent = self._plan, 0
        for block in self._blocks():
            is_event = _EVENT in block
            if is_event and sent == plan.after:
                yield block[:_HALF]
                return
            yield block
            sent += is_event
            if block.endswith(_LAST_EVENT) or (sent == plan.after and not plan.is_half):
                break
        if plan.last_words:
            closed = closed_data(plan.last_words, reconnect=not plan.is_last)
            yield SSE.notice("closed", closed, END_ID if plan.is_last else "")

    def close(self) -> None:
        """Give the listener's place back."""
        self._stream.close()

    def _blocks(self) -> Iterator[bytes]:
        for chunk in self._stream:
            for block in chunk.split(_END_OF_BLOCK)[:-1]:
                yield block + _END_OF_BLOCK


class _Quiet(WSGIRequestHandler):
    """Logs nothing: a connection that breaks is what is wanted."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass
