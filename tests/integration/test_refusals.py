"""Which client is told a refusal as a status, and which as an event: friction 14, an EventSource that is refused can say why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.identity.tokens import mint
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, Server, serve

JWT_KEY = "j" * 32
SETTINGS = {"jwt_key": JWT_KEY, "jwt_cookie": "token", "anonymous_channels": "open,chat.open", "retry_ms": 100}
#: What Chromium and Firefox send of themselves, as far as it matters.
NATIVE = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}
PATH = "/api/v1/stream?channel=closed"


server = server_fixture(**SETTINGS)


def refused(server: Server, code: str) -> int:
    _, _, body = server.request("GET", "/metrics", headers=BEARER)
    found = re.search(rf'^simulcast_grants_refused_total{{code="{code}"}} (\d+)', body.decode(), re.MULTILINE)
    return int(found[1]) if found else 0


def cookie(*channels: str, user: str = "ann") -> dict[str, str]:
    return {"Cookie": f"token={mint(JWT_KEY, seconds=3600, user=user, subscribe=list(channels))}"}


def told(answer: tuple[int, dict[str, str], bytes]) -> Any:
    """The data of ``closed``, if that is the whole answer."""
    status, headers, body = answer
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache, no-transform"
    match = re.fullmatch(rb"retry: (\d+)\nid: end\nevent: closed\ndata: (.*)\n\n", body)
    assert match is not None, body
    assert 50 <= int(match[1]) <= 150
    return json.loads(match[2])


@pytest.mark.parametrize(
    ("path", "headers", "reason", "code"),
    [
        (PATH, {}, "unauthorized", "no_grant"),
        (f"{PATH}&ticket=never-was-one", {}, "unauthorized", "ticket_spent"),
        (PATH, cookie("other"), "forbidden", "not_granted"),
        (PATH, cookie("closed") | {"Sec-Fetch-Site": "cross-site"}, "forbidden", "origin"),
        ("/api/v1/chat/closed/stream?user=bob", {}, "unauthorized", "no_grant"),
        ("/api/v1/chat/closed/stream?user=bob", cookie("chat.*"), "forbidden", "other_user"),
        ("/api/v1/wukongs/web-1/stream", {}, "unauthorized", "no_grant"),
    ],
)
def test_a_native_eventsource_is_told_why_it_is_refused_and_then_to_stop(
    server: Server, path: str, headers: dict[str, str], reason: str, code: str
) -> None:
    before = refused(server, code)
    log = len(server.log)
    assert told(server.request("GET", path, headers=NATIVE | headers)) == {"reason": reason, "reconnect": False}
    assert refused(server, code) == before + 1
    status, _, body = server.request("GET", path, headers=NATIVE | headers | {"Last-Event-ID": "end"})
    assert (status, body) == (204, b"")
    assert refused(server, code) == before + 1, "a refusal is counted once"
    lines = re.findall(r'\{"refused".*\}', server.log[log:])
    assert [json.loads(line)["refused"] for line in lines] == [code]
    assert json.loads(lines[0])["is_told_as_200"] is True
    assert "channel" not in lines[0], "nothing of the URL"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "text/event-stream"},  # a program
        {"Sec-Fetch-Mode": "cors"},  # a page's own fetch
        NATIVE | {"Accept": "text/event-stream, */*"},
        NATIVE | {"Accept": "application/x-ndjson"},
        NATIVE | {"Authorization": "Bearer nonsense"},
        {"Accept": "text/event-stream", "Last-Event-ID": "end"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_other_client_gets_the_status(server: Server, method: str, headers: dict[str, str]) -> None:
    code = "token_malformed" if "Authorization" in headers else "no_grant"
    before = refused(server, code)
    status, answered, body = server.request(method, PATH, headers=headers)
    assert status == 401
    assert answered["www-authenticate"] == "Bearer"
    assert method == "HEAD" or json.loads(body)["error"]["code"] == code
    assert refused(server, code) == before + 1


def test_a_post_and_a_head_keep_their_status_whatever_they_look_like(server: Server) -> None:
    assert server.request("HEAD", PATH, headers=NATIVE)[0] == 401
    status, _, body = server.request("POST", "/api/v1/events", {"channel": "x", "data": 1}, NATIVE)
    assert (status, json.loads(body)["error"]["code"]) == (401, "no_grant")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/stream?channel=a%20b", 400), ("/api/v1/stream", 400), ("/api/v1/streams", 404)],
)
def test_a_mistake_of_the_page_s_author_keeps_its_status(server: Server, path: str, status: int) -> None:
    """A browser's own tools show it to its author, and no user can do anything about it."""
    assert server.request("GET", path, headers=NATIVE)[0] == status


def test_a_native_eventsource_that_is_let_in_is_let_in(server: Server) -> None:
    """And what is over stays over: 204, with or without a grant."""
    for path, headers in (("/api/v1/stream?channel=open", {}), (PATH, cookie("closed"))):
        assert server.request("GET", path, headers=NATIVE | headers | {"Last-Event-ID": "end"})[0] == 204


def test_a_setting_switches_it_off(tmp_path: Path) -> None:
    with serve(tmp_path, **SETTINGS, eventsource_refusals=0) as server:
        status, _, body = server.request("GET", PATH, headers=NATIVE)
        assert (status, json.loads(body)["error"]["code"]) == (401, "no_grant")
        assert server.request("GET", PATH, headers=NATIVE | {"Last-Event-ID": "end"})[0] == 401
        assert refused(server, "no_grant") == 2


def test_a_page_of_an_allowed_origin_can_read_it_and_of_others_can_not(tmp_path: Path) -> None:
    with serve(tmp_path, **SETTINGS, allowed_origins="https://friend.example") as server:
        for query in ({}, {"Last-Event-ID": "end"}):
            headers = NATIVE | query | {"Sec-Fetch-Site": "cross-site"}
            _, friend, _ = server.request("GET", PATH, headers=headers | {"Origin": "https://friend.example"})
            assert friend["access-control-allow-origin"] == "https://friend.example"
            _, stranger, _ = server.request("GET", PATH, headers=headers | {"Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in stranger
