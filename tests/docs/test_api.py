"""docs/api.md: the request that it shows is sent, and the page of history is the service's."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.likeness import assert_alike
from tests.docs.page import Page
from tests.docs.wire import send
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, KEY, Server

PAGE = Page("docs/api.md")
PUBLISH = PAGE.take("Publishing", "http")
HISTORY = PAGE.take("History", "json")


service = server_fixture()


def test_request_publishes_once_and_its_history_is_as_shown(service: Server, tmp_path: Path) -> None:
    request = PUBLISH.replaced({"…": KEY}).text
    head, body = send(service.port, request)
    assert head.startswith("HTTP/1.1 201 "), head
    (position,) = json.loads(body)["positions"]
    assert json.loads(send(service.port, request)[1])["positions"] == [position]  # its idempotency key
    page = service.get_json("/api/v1/channels/orders/history", BEARER)
    assert_alike(json.loads(HISTORY.text), page)
    assert page["position"] == page["events"][0]["id"] == position
