"""Under which names and which path a real server answers, without a proxy and behind one."""

from __future__ import annotations

import json

import pytest

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, Server
from tests.tools.ws_client import WSClient

JWT_KEY = "j" * 32
EVIL = "evil.example:8000"
STREAM = "/api/v1/stream?channel=a"


named = server_fixture(trusted_hosts="live.example,.app.example", proxy_hops=1)
proxied = server_fixture(jwt_key=JWT_KEY, proxy_hops=1)


def status_of(server: Server, path: str, host: str, **headers: str) -> int:
    return server.request("GET", path, headers={"Host": host} | headers)[0]


def websocket_status(server: Server, host: str) -> int:
    with WSClient(server.port, "/ws", {"Host": host, "Origin": f"http://{host.lower()}"}) as client:
        return client.status


def stream_status(server: Server, host: str) -> int:
    with SSEClient(server.port, STREAM, headers={"Host": host}) as client:
        return client.status


def test_a_page_of_a_name_that_its_owner_pointed_here_reads_nothing(server: Server) -> None:
    """sec, "Weak": DNS rebinding. On loopback no name has to be set for that."""
    for path in ("/", "/chat", "/static/parts.js", "/openapi.json", "/api/v1/wukongs", "/api/v1/nowhere", STREAM):
        assert status_of(server, path, EVIL) == 400, path
    assert (websocket_status(server, EVIL), stream_status(server, EVIL)) == (400, 400)
    assert server.request("POST", "/api/v1/events", b"{}", {"Host": EVIL} | BEARER)[0] == 400
    _, _, body = server.request("GET", "/api/v1/wukongs", headers={"Host": EVIL})
    assert json.loads(body)["error"]["code"] == "unknown_host"
    assert "SIMULCAST_TRUSTED_HOSTS" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "x", "app:8000", "a.localhost", "192.0.2.1"]
)
def test_a_name_that_can_not_be_owned_needs_no_setting(server: Server, host: str) -> None:
    assert status_of(server, "/api/v1/wukongs", host) == 200
    assert (websocket_status(server, host), stream_status(server, host)) == (101, 200)


def test_with_names_no_other_is_served_and_health_checks_by_address_are(named: Server) -> None:
    for host in ("live.example", "LIVE.EXAMPLE", "x.app.example", "127.0.0.1"):
        assert status_of(named, "/api/v1/wukongs", host) == 200, host
        assert (websocket_status(named, host), stream_status(named, host)) == (101, 200)
    for host in (EVIL, "live.example.evil.example", "x", "192.0.2.1"):
        assert status_of(named, "/api/v1/wukongs", host) == 400, host
        assert (websocket_status(named, host), stream_status(named, host)) == (400, 400)
        assert [status_of(named, path, host) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    assert status_of(named, "/api/v1/wukongs", "live.example", **{"X-Forwarded-Host": EVIL}) == 400
    assert "SIMULCAST_TRUSTED_HOSTS is not set" not in named.log


def test_no_redirect_leads_to_another_host(named: Server) -> None:
    """With the ticket in it."""
    status, headers, _ = named.request("GET", "/api/v1//stream?channel=a&ticket=T", headers={"Host": EVIL})
    assert status == 400
    assert "location" not in headers


def test_behind_a_proxy_without_names_a_line_in_the_log_says_so(proxied: Server) -> None:
    assert status_of(proxied, "/api/v1/wukongs", "live.example") == 200
    assert "SIMULCAST_TRUSTED_HOSTS is not set" in proxied.log


def test_a_spent_ticket_comes_back_below_a_prefix_that_the_proxy_strips(proxied: Server) -> None:
    """bug F10: the cookie's path lacked it, so the browser did not send it, and the stream ended for ever."""
    token = mint(JWT_KEY, seconds=60, user="ann", subscribe=["closed.*"])
    prefix = {"X-Forwarded-Prefix": "/hub"}
    _, _, body = proxied.request("POST", "/api/v1/tickets", b"", {"Authorization": f"Bearer {token}"} | prefix)
    path = f"/api/v1/stream?channel=closed.a&ticket={json.loads(body)['ticket']}"
    with SSEClient(proxied.port, path, headers=prefix) as client:
        cookie, *attributes = client.headers["set-cookie"].split("; ")
    assert "Path=/hub/api/v1/stream" in attributes
    with SSEClient(proxied.port, path, headers=prefix | {"Cookie": cookie}) as client:
        assert client.status == 200


def test_links_redirects_and_the_document_have_the_prefix(proxied: Server) -> None:
    """bug F10"""
    prefix = {"X-Forwarded-Prefix": "/hub"}
    for page in ("/", "/chat"):
        text = proxied.request("GET", page, headers=prefix)[2].decode()
        assert '"/hub/static/' in text
        assert '"/static/' not in text and '"/api/' not in text
    assert proxied.get_json("/openapi.json", prefix)["servers"] == [{"url": "/hub"}]
    assert "servers" not in proxied.get_json("/openapi.json")
    status, headers, _ = proxied.request("GET", "/api/v1//wukongs", headers=prefix)
    assert (status, headers["location"]) == (308, f"http://127.0.0.1:{proxied.port}/hub/api/v1/wukongs")
    text = proxied.request("GET", "/", headers={"X-Forwarded-Prefix": "//evil.example"})[2].decode()
    assert "evil.example" not in text


def test_without_a_proxy_a_client_sets_no_prefix(server: Server) -> None:
    for name, value in (("X-Forwarded-Prefix", "/hub"), ("SCRIPT_NAME", "/hub"), ("SCRIPT_NAME", "//hub.example")):
        assert b"hub" not in server.request("GET", "/", headers={name: value})[2], name
