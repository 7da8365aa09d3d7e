"""Headers that lie, and line breaks where none belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from tests.integration.security.attacks import cookie, publish_with
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, BURST_SECONDS, Server, serve


def posts_until_limited(server: Server, headers: Callable[[int], dict[str, str]], most: int) -> int:
    """Return how many publishes get through before the first 429."""
    for number in range(most):
        status, answer, _ = server.request(
            "POST", "/api/v1/events", {"channel": "a", "data": 1}, BEARER | headers(number)
        )
        if status == 429:
            assert int(answer["retry-after"]) >= 1
            return number
        assert status == 201
    return most


def test_a_forged_x_forwarded_for(tmp_path: Path) -> None:
    limits = {"publish_rate_per_address": 1, "constants": {BURST_SECONDS: 5}}
    with serve(tmp_path / "none", broker_url="memory://", **limits) as server:
        assert posts_until_limited(server, lambda n: {"X-Forwarded-For": f"192.0.2.{n}"}, 20) < 10, "without a proxy"
    with serve(tmp_path / "one", broker_url="memory://", proxy_hops=1, **limits) as server:
        forged = posts_until_limited(server, lambda n: {"X-Forwarded-For": f"203.0.113.{n}, 192.0.2.1"}, 20)
        assert forged < 10, "before what the proxy has added"
        honest = posts_until_limited(server, lambda n: {"X-Forwarded-For": f"192.0.2.{n + 2}"}, 20)
        assert honest == 20, "each of the proxy's clients has a limit of its own"


def test_a_forged_host_does_not_make_an_origin_ours(server: Server) -> None:
    """A page can't set Host; a proxy's word on it is not believed without hops."""
    lies = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    assert publish_with(server, cookie() | {"Origin": "https://evil.example"} | lies) == 403


def test_line_breaks_in_names_and_ids(server: Server) -> None:
    """Nothing that is sent can begin a line of a header or of a stream of its own."""
    for text in ("a\r\nX-Evil: 1", "a\ndata: evil", "a\r\n\r\ndata: evil\r\n\r\n", "a\0b", "a\u2028b", "a\x85b"):
        for path in (
            f"/api/v1/stream?channel={quote(text)}",
            f"/api/v1/channels/{quote(text, safe='')}/history",
            f"/api/v1/channels/{quote(text, safe='')}/presence",
        ):
            status, headers, _ = server.request("GET", path, headers=BEARER)
            assert status in (400, 403, 404)
            assert "x-evil" not in headers
        for event in (
            {"channel": text, "data": 1},
            {"channel": "open.a", "data": 1, "idempotency_key": text + "\ud800"},
        ):
            assert server.request("POST", "/api/v1/events", event, BEARER)[0] == 400
    for text in ("a\r\nX-Evil: 1", "a\ndata: evil", "a\0b"):
        event = {"channel": "open.a", "data": 1, "type": text}
        assert server.request("POST", "/api/v1/events", event, BEARER)[0] == 400
        with SSEClient(server.port, f"/api/v1/stream?channel=open.a&last_event_id={quote(text)}") as client:
            assert (client.status, client.next().type) == (200, "gap")  # type: ignore[union-attr]
            assert client.until("connected").data.startswith("{")
            assert "x-evil" not in client.headers


def test_line_breaks_in_data_stay_data(server: Server) -> None:
    evil = "x\n\nevent: closed\r\ndata: evil\r\r\nid: end"
    with SSEClient(server.port, "/api/v1/stream?channel=open.crlf") as client:
        client.until("connected")
        server.publish("open.crlf", evil, "after")
        assert [block.json for block in client.take(2)] == [evil, "after"]
