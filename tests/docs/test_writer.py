"""docs/writer.md: tokens arrive one by one, from a model that is a real server, and an export is whole."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.docs.page import Page, program
from tests.docs.reader import app_reader
from tests.tools.serving import Server

PAGE = Page("docs/writer.md")
ANSWER = PAGE.take("The writer: a stream that one view writes itself", "python")
MODEL = PAGE.take("Tokens of a language model", "python")
EXPORT = PAGE.take("An export", "python")
SERVE = "gunicorn -k gevent app:app"
THREE_ORDERS = """
with app.app_context():
    db.create_all()
    db.session.add_all([Order() for _ in range(3)])
    db.session.commit()
"""
FROM_THE_MODEL = ['{"delta":"Hel"}', '{"delta":"lo"}', "[DONE]"]


class _Model(BaseHTTPRequestHandler):
    """Answers any question with two tokens, as an event stream."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for data in FROM_THE_MODEL:
            self.wfile.write(f": a comment\nid: 1\ndata: {data}\n\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve_model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/answers"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_model() as url:
        model = MODEL.replaced({"https://model.example/v1/answers": url})
        text = program(ANSWER, model, EXPORT) + THREE_ORDERS
        with app_reader(tmp_path_factory.mktemp("writer"), app=text) as reader, reader.serving(SERVE) as server:
            yield server


def data_of(server: Server, method: str, path: str, json: object = None) -> list[str]:
    answer = httpx.request(method, f"http://127.0.0.1:{server.port}{path}", json=json, timeout=15, trust_env=False)
    assert answer.status_code == 200, answer.text
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]


def test_tokens_are_written(app: Server) -> None:
    assert data_of(app, "POST", "/answer") == ['{"token":"Hel"}', '{"token":"lo"}', "[DONE]"]


def test_tokens_of_a_model_are_passed_on(app: Server) -> None:
    assert data_of(app, "POST", "/chat", {"question": "?"}) == FROM_THE_MODEL


def test_export_is_whole(app: Server, tmp_path: Path) -> None:
    assert data_of(app, "GET", "/orders/export") == ['{"id":1}', '{"id":2}', '{"id":3}', "[DONE]"]
