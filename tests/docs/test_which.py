"""docs/which.md: each kind of stream of its app is read as the table says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.docs.page import Page
from tests.docs.reader import app_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import Server
from tests.tools.sockets import JSONSocket

PAGE = Page("docs/which.md")
APP = PAGE.take("Which one do I want?", "python")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with app_reader(tmp_path_factory.mktemp("which"), app=APP.text) as reader:
        with reader.serving("gunicorn -k gevent app:app") as server:
            yield server


def test_what_a_websocket_sends_reaches_streams_of_every_kind(server: Server) -> None:
    with (
        SSEClient(server.port, "/orders/sse") as sse,
        SSEClient(server.port, "/orders/stream") as either,
        httpx.stream("GET", url(server, "/orders/ndjson"), timeout=10) as lines,
        JSONSocket(server, "/orders/ws") as socket,
    ):
        streams = [sse, either]
        for client in streams:
            client.until("connected")
        body = lines.iter_lines()
        assert '"connected"' in next(body)
        socket.send("hello")
        assert [client.until("message").json for client in streams] == ["hello", "hello"]
        assert '"data":"hello"' in next(line for line in body if line)
        assert socket.until("event")["data"] == "hello"


def test_accept_decides_what_stream_answers(server: Server) -> None:
    headers = {"Accept": "application/x-ndjson"}
    with httpx.stream("GET", url(server, "/orders/stream"), headers=headers, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")


def test_writer_and_rows_end_by_themselves(server: Server) -> None:
    summary = httpx.post(url(server, "/summary"), json={"text": "one two"}, timeout=10).text
    assert summary.split("\n\n") == ['data: {"word":"one"}', 'data: {"word":"two"}', "data: [DONE]", ""]
    assert len(httpx.get(url(server, "/orders"), timeout=10).json()["orders"]) == 10_000


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"
