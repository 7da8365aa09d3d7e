"""Under which names and which path a real server answers, without a proxy and behind one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, Server, serve
from tests.tools.ws_client import WSClient

JWT_KEY = "j" * 32
EVIL = "evil.example:8000"
STREAM = "/api/v1/stream?channel=a"


def status_of(server: Server, path: str, host: str, **headers: str) -> int:
    return server.request("GET", path, headers={"Host": host} | headers)[0]


def websocket_status(server: Server, host: str) -> int:
    with WSClient(server.port, "/ws", {"Host": host, "Origin": f"http://{host.lower()}"}) as client:
        return client.status


def stream_status(server: Server, host: str) -> int:
    with SSEClient(server.port, STREAM, headers={"Host": host}) as client:
        return client.status


def test_a_page_of_a_name_that_its_owner_pointed_here_reads_nothing(tmp_path: Path) -> None:
    """sec, "Weak": DNS rebinding. On loopback no name has to be set for that."""
    with serve(tmp_path) as server:
        for path in ("/", "/chat", "/static/page.js", "/openapi.json", "/api/v1/wukongs", "/api/v1/nowhere", STREAM):
            assert status_of(server, path, EVIL) == 400, path
        assert (websocket_status(server, EVIL), stream_status(server, EVIL)) == (400, 400)
        assert server.request("POST", "/api/v1/events", b"{}", {"Host": EVIL} | BEARER)[0] == 400
        _, _, body = server.request("GET", "/api/v1/wukongs", headers={"Host": EVIL})
        assert json.loads(body)["error"]["code"] == "unknown_host"
        assert "SIMULCAST_TRUSTED_HOSTS" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "x", "app:8000", "a.localhost", "192.0.2.1"]
)
def test_a_name_that_can_not_be_owned_needs_no_setting(tmp_path: Path, host: str) -> None:
    with serve(tmp_path) as server:
        assert status_of(server, "/api/v1/wukongs", host) == 200
        assert (websocket_status(server, host), stream_status(server, host)) == (101, 200)


def test_with_names_no_other_is_served_and_health_checks_by_address_are(tmp_path: Path) -> None:
    with serve(tmp_path, trusted_hosts="live.example,.app.example", proxy_hops=1) as server:
        for host in ("live.example", "LIVE.EXAMPLE", "x.app.example", "127.0.0.1"):
            assert status_of(server, "/api/v1/wukongs", host) == 200, host
            assert (websocket_status(server, host), stream_status(server, host)) == (101, 200)
        for host in (EVIL, "live.example.evil.example", "x", "192.0.2.1"):
            assert status_of(server, "/api/v1/wukongs", host) == 400, host
            assert (websocket_status(server, host), stream_status(server, host)) == (400, 400)
            assert [status_of(server, path, host) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        assert status_of(server, "/api/v1/wukongs", "live.example", **{"X-Forwarded-Host": EVIL}) == 400
        assert "SIMULCAST_TRUSTED_HOSTS is not set" not in server.log


def test_no_redirect_leads_to_another_host(tmp_path: Path) -> None:
    """With the ticket in it."""
    with serve(tmp_path, trusted_hosts="live.example") as server:
        status, headers, _ = server.request("GET", "/api/v1//stream?channel=a&ticket=T", headers={"Host": EVIL})
    assert status == 400
    assert "location" not in headers


def test_behind_a_proxy_without_names_a_line_in_the_log_says_so(tmp_path: Path) -> None:
    with serve(tmp_path, proxy_hops=1) as server:
        assert status_of(server, "/api/v1/wukongs", "live.example") == 200
        assert "SIMULCAST_TRUSTED_HOSTS is not set" in server.log


def test_a_spent_ticket_comes_back_below_a_prefix_that_the_proxy_strips(tmp_path: Path) -> None:
    """bug F10: the cookie's path lacked it, so the browser did not send it, and the stream ended for ever."""
    token = mint(JWT_KEY, seconds=60, user="ann", subscribe=["closed.*"])
    prefix = {"X-Forwarded-Prefix": "/hub"}
    with serve(tmp_path, jwt_key=JWT_KEY, proxy_hops=1) as server:
        _, _, body = server.request("POST", "/api/v1/tickets", b"", {"Authorization": f"Bearer {token}"} | prefix)
        path = f"/api/v1/stream?channel=closed.a&ticket={json.loads(body)['ticket']}"
        with SSEClient(server.port, path, headers=prefix) as client:
            cookie, *attributes = client.headers["set-cookie"].split("; ")
        assert "Path=/hub/api/v1/stream" in attributes
        with SSEClient(server.port, path, headers=prefix | {"Cookie": cookie}) as client:
            assert client.status == 200


def test_links_redirects_and_the_document_have_the_prefix(tmp_path: Path) -> None:
    """bug F10"""
    prefix = {"X-Forwarded-Prefix": "/hub"}
    with serve(tmp_path, proxy_hops=1) as server:
        for page in ("/", "/chat"):
            text = server.request("GET", page, headers=prefix)[2].decode()
            assert '"/hub/static/' in text
            assert '"/static/' not in text and '"/api/' not in text
        assert server.get_json("/openapi.json", prefix)["servers"] == [{"url": "/hub"}]
        assert "servers" not in server.get_json("/openapi.json")
        status, headers, _ = server.request("GET", "/api/v1//wukongs", headers=prefix)
        assert (status, headers["location"]) == (308, f"http://127.0.0.1:{server.port}/hub/api/v1/wukongs")
        text = server.request("GET", "/", headers={"X-Forwarded-Prefix": "//evil.example"})[2].decode()
        assert "evil.example" not in text


def test_without_a_proxy_a_client_sets_no_prefix(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        for name, value in (("X-Forwarded-Prefix", "/hub"), ("SCRIPT_NAME", "/hub"), ("SCRIPT_NAME", "//hub.example")):
            assert b"hub" not in server.request("GET", "/", headers={name: value})[2], name
