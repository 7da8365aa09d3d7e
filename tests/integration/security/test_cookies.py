"""Cookies that other sites, siblings and programs send."""

from __future__ import annotations

import pytest

from tests.integration.security.attacks import COOKIE, FRIEND, cookie, is_let_in, publish_with, refusal, token
from tests.tools.clients import SSEClient
from tests.tools.serving import KEY, Server
from tests.tools.ws_client import WSClient


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"{FRIEND}.evil.example"},
        {"Origin": f"{FRIEND}:8443"},
        {"Origin": FRIEND.replace("https", "http")},
        {"Origin": "*"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    ],
)
def test_a_cookie_from_a_foreign_origin(server: Server, headers: dict[str, str]) -> None:
    path = "/api/v1/stream?channel=closed.a"
    assert refusal(server, "GET", path, None, cookie() | headers) == (403, "origin")
    assert publish_with(server, cookie() | headers) == 403


def test_a_cookie_of_our_own_pages_and_of_friends(server: Server) -> None:
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    for headers in ({}, own, {"Origin": FRIEND}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert is_let_in(server, cookie() | headers)
    for headers in (own, {"Origin": FRIEND}, {"Sec-Fetch-Site": "same-origin"}):
        assert publish_with(server, cookie() | headers) == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Referer": "http://127.0.0.1/"},
    ],
)
def test_a_form_on_another_site_posts_with_the_cookie(server: Server, headers: dict[str, str]) -> None:
    """CSRF."""
    assert publish_with(server, cookie() | headers) == 403
    assert refusal(server, "POST", "/api/v1/tickets", b"", cookie() | headers) == (403, "origin")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Accept": "image/avif,image/webp,*/*;q=0.8"},
            403,
        ),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Accept": "text/event-stream"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Accept": "image/webp,image/apng,*/*;q=0.8"}, 403),
        ({"Accept": "*/*"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Accept": "*/*"}, 200),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": FRIEND}, 200),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": "https://sibling.example"}, 403),
        ({"Accept": "text/event-stream"}, 200),
        ({"Accept": "application/x-ndjson"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/stream?channel=closed.a", "/api/v1/chat/a/stream"])
def test_an_image_on_a_sibling_host_joins_with_the_cookie(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    """sec, "Weak": a browser sends the cookie along, and others were told that she has come."""
    own = {"Cookie": f"{COOKIE}={token(subscribe=['closed.*', 'chat.*'])}"}
    with SSEClient(server.port, path, headers={"Accept": "*/*"} | own | headers) as client:
        assert client.status == status


def test_a_program_opens_a_websocket_with_a_cookie(server: Server) -> None:
    with WSClient(server.port, "/ws", cookie()) as client:
        assert client.status == 101


def test_the_key_does_not_count_in_a_cookie(server: Server) -> None:
    assert not is_let_in(server, {"Cookie": f"{COOKIE}={KEY}"})
