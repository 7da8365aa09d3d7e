"""The example for language models in docs/writer.md, against what upstreams write: bug F5."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.flask_simulcast.testing import read_sse
from tests.tools.serving import serve, wait_until


class Model(BaseHTTPRequestHandler):
    """Answers each question with what the test has put in ``stream``, in the pieces that it is in."""

    stream: tuple[bytes, ...] = ()

    def do_POST(self) -> None:
        """One answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in self.stream:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serve_model() -> Iterator[str]:
    """Another server than ours; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


EVERY_KIND = (
    'data:{"t":"no space"}\n\n',
    'data: {"t":"U+2028 \u2028, U+2029 \u2029, U+0085 \x85, U+001C \x1c"}\n\n',
    'data: {\ndata: "t": "two lines"}\n\n',
    "event: delta\r\ndata: a name and CRLF\r\n\r\n",
    "data: lone CR\r\rid: 7\ndata:  two spaces\n\n",
    ": a comment, and then nothing for a while\n\n",
    "event: ping\n\n",
    "data: [DONE]\n\n",
    "data: never finished\n",
)
TOKENS = [
    '{"t":"no space"}',
    '{"t":"U+2028 \u2028, U+2029 \u2029, U+0085 \x85, U+001C \x1c"}',
    '{\n"t": "two lines"}',
    "a name and CRLF",
    "lone CR",
    " two spaces",
    "[DONE]",
]


@pytest.mark.parametrize("cut", ["by event", "by byte"])
def test_every_token_of_an_upstream_arrives_once_however_it_was_written(tmp_path: Path, cut: str) -> None:
    """Bug F5: ``data:`` without a space was dropped, U+2028 cut a line."""
    text = "".join(EVERY_KIND).encode()
    Model.stream = tuple(kind.encode() for kind in EVERY_KIND) if cut == "by event" else tuple(bytes([b]) for b in text)
    with serve_model() as url, serve(tmp_path, app="tests.apps.model:app", MODEL_URL=url) as server:
        status, headers, body = server.request("POST", "/chat", {"question": "?"}, {"Content-Type": "application/json"})
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert [event.data for event in read_sse(body)] == TOKENS


def test_an_error_of_the_upstream_is_an_error_and_no_token(tmp_path: Path) -> None:
    """Bug F5: ``event: error`` arrived as if the model had said it."""
    Model.stream = (b'data: {"t":"one"}\n\n', b'event: error\ndata: {"message":"overloaded, account 4711"}\n\n')
    with serve_model() as url, serve(tmp_path, app="tests.apps.model:app", MODEL_URL=url) as server:
        _, _, body = server.request("POST", "/chat", {"question": "?"}, {"Content-Type": "application/json"})
        assert [(event.type, event.data) for event in read_sse(body)] == [
            ("message", '{"t":"one"}'),
            ("error", '{"error":"internal"}'),
        ]
        wait_until(lambda: "overloaded" in server.log, what="the log to say why")
