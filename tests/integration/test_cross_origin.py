"""An app of one's own, asked by a page of another origin: what a browser asks first, and what it may read."""

from __future__ import annotations

import json

import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import Server

PAGE = "https://app.example"
ANN = {"Authorization": "Bearer ann"}


server = server_fixture(app="tests.apps.cross_origin:app", allowed_origins=PAGE)


def preflight(server: Server, path: str, method: str = "GET", origin: str = PAGE) -> tuple[int, dict[str, str]]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,sentry-trace",
    }
    status, headers, _ = server.request("OPTIONS", path, headers=asked)
    return status, {name: value for name, value in headers.items() if name.startswith("access-control-")}


def test_a_page_of_another_origin_reads_a_stream_by_fetch_with_a_token(server: Server) -> None:
    """friction 13: the answer had the headers, the preflight had none; the app's own login stood in the way besides."""
    status, headers = preflight(server, "/orders/stream")
    assert status == 204
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-allow-methods"] == "GET"
    assert {"Authorization", "Last-Event-ID", "sentry-trace"} <= set(
        headers["access-control-allow-headers"].split(", ")
    )
    assert headers["access-control-max-age"] == "600"
    with SSEClient(server.port, "/orders/stream", headers=ANN | {"Origin": PAGE}) as client:
        assert (client.status, client.headers["access-control-allow-origin"]) == (200, PAGE)


def test_a_post_that_streams_is_asked_for_where_the_view_says_so(server: Server) -> None:
    assert preflight(server, "/ask", "POST")[1]["access-control-allow-methods"] == "POST"
    status, headers, body = server.request(
        "POST", "/ask", {"q": 1}, ANN | {"Origin": PAGE, "Content-Type": "application/json"}
    )
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    assert b'data: {"q":1}' in body


@pytest.mark.parametrize(
    ("path", "method", "origin"),
    [
        ("/orders/stream", "GET", "https://evil.example"),
        ("/orders/stream", "GET", "null"),
        ("/orders/stream", "DELETE", PAGE),
        ("/account", "DELETE", PAGE),
        ("/account", "PUT", PAGE),
        ("/own", "GET", PAGE),
        ("/nowhere", "GET", PAGE),
    ],
)
def test_nothing_else_of_the_app_is_opened(server: Server, path: str, method: str, origin: str) -> None:
    assert preflight(server, path, method, origin)[1] == {}


def test_a_plain_options_is_the_app_s_own(server: Server) -> None:
    status, headers, _ = server.request("OPTIONS", "/orders/stream", headers=ANN | {"Origin": PAGE})
    assert (status, set(headers["allow"].split(", "))) == (200, {"GET", "HEAD", "OPTIONS"})


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/orders/stream", {"Authorization": "Bearer bob"}, 401),
        ("/orders/stream?channel=closed", ANN, 403),
        ("/orders/stream?channel=no+name", ANN, 400),
    ],
)
def test_a_page_can_read_why_the_extension_refused_it(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    answered, fields, body = server.request("GET", path, headers=headers | {"Origin": PAGE})
    assert (answered, fields["access-control-allow-origin"], fields["vary"]) == (status, PAGE, "Origin")
    assert json.loads(body)["error"]["message"]
    assert "access-control-allow-origin" not in server.request("GET", path, headers=headers)[1]
