"""docs/from-flask-sse.md: our side of its table runs, and a page that has not changed gets its events."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.docs.page import Page
from tests.docs.reader import app_reader
from tests.docs.replacements import run_lines
from tests.tools.clients import SSEClient

PAGE = Page("docs/from-flask-sse.md")
APP = PAGE.take("From Flask-SSE", "python")


def test_our_lines_of_the_table_run(tmp_path: Path) -> None:
    assert run_lines(PAGE.path, {"url": f"sqlite:///{tmp_path}/simulcast.db"}) == 5


def test_url_of_the_page_stays_the_same(tmp_path: Path) -> None:
    with app_reader(tmp_path, app=APP.text) as reader, reader.serving("gunicorn -k gevent app:app") as server:
        with SSEClient(server.port, "/stream?channel=orders") as client, SSEClient(server.port, "/stream") as other:
            client.until("connected")
            assert other.until("connected").json["channels"] == ["sse"]
            httpx.post(f"http://127.0.0.1:{server.port}/orders", json={"id": 7}, timeout=10).raise_for_status()
            assert client.until("created").json == {"id": 7}
