"""docs/from-mercure.md: the names of topics, and what the service answers to our side of the table."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.tools.serving import ROOT

PAGE = Page("docs/from-mercure.md")
NAMES = PAGE.take("From Mercure", "python")
PUBLISH = PAGE.take("From Mercure", "sh")
LISTEN = PAGE.take("From Mercure", "sh")
KEY = "k" * 32


def test_topic_becomes_a_channel() -> None:
    names: dict[str, object] = {}
    exec(NAMES.text, names)
    channel_of = names["channel_of"]
    assert callable(channel_of)
    assert channel_of("https://example.com/books/1") == "books.1"
    assert channel_of("https://example.com/users/42/a%20b") == "users.42.a.20b"


def test_curl_publishes_and_listens_and_every_route_of_the_table_answers(tmp_path: Path) -> None:
    environment = {"SIMULCAST_PUBLISH_KEY": KEY, "SIMULCAST_ANONYMOUS_CHANNELS": "books,books.1"}
    with service_reader(tmp_path, **environment) as reader, reader.serving("./scripts/run") as server:
        assert len(re.findall(r"\d{13}-\d+-[0-9a-f]{8}", reader.run(PUBLISH))) == 2
        with reader.running(LISTEN) as terminal:
            assert 'data: {"status":"checked out"}' in terminal.wait_for("event: lent")
        routes = re.findall(r"`GET (/api/v1/[\w/.?=]+)`", (ROOT / PAGE.path).read_text())
        assert len(routes) == 3
        for route in routes:
            with httpx.stream(
                "GET",
                f"http://127.0.0.1:{server.port}{route}",
                headers={"Authorization": f"Bearer {KEY}"},
                timeout=10,
            ) as answer:
                assert answer.status_code == 200, route
