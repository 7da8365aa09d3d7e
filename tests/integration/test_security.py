"""Attacks by name, each against two real workers that share a log. None gets in, and none is a 500.

What forges a token in other ways, without a server, is in `tests/unit/service/identity/test_forged_tokens.py`.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import JWT_KEY, Fleet
from tests.tools.serving import BEARER, BURST_SECONDS, KEY, TICKETS_PER_SECOND, Server, serve, wait_until
from tests.tools.sockets import JSONSocket
from tests.tools.ws_client import WSClient

AUDIENCE = "simulcast"
COOKIE = "session"
FRIEND = "https://app.example"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
_secrets: set[str] = set()  # whatever must not be found in a log at the end


workers = fleet_fixture(
    app="tests.apps.inspected:app",
    constants={TICKETS_PER_SECOND: 1000},
    ACCESS_LOG="-",
    anonymous_channels="open.*",
    jwt_audience=AUDIENCE,
    jwt_cookie=COOKIE,
    allowed_origins=FRIEND,
)


@pytest.fixture
def server(workers: Fleet) -> Server:
    """One of them."""
    return workers.one


def secret(text: str) -> str:
    """Note a text that no log may have."""
    _secrets.add(text)
    return text


def token(user: str = "bob", *, seconds: float = 600, **claims: Any) -> str:
    return secret(mint(JWT_KEY, seconds=seconds, user=user, audience=AUDIENCE, **claims))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def refusal(
    server: Server, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and code of a request that must be refused, in JSON, without a word of what was sent."""
    status, answer_headers, text = server.request(method, path, body, headers)
    assert 400 <= status < 500, text
    for sent in (headers or {}).values():
        for part in sent.split():
            assert len(part) < 20 or part.encode() not in text
    assert (status == 401) == ("www-authenticate" in answer_headers)
    return status, str(json.loads(text)["error"]["code"])


def is_let_in(server: Server, headers: dict[str, str], channel: str = "closed.a") -> bool:
    return server.request("HEAD", f"/api/v1/stream?channel={channel}", headers=headers)[0] == 200


def ticket_for(server: Server, **claims: Any) -> str:
    given = {"subscribe": ["closed.*"]} | claims
    status, _, body = server.request("POST", "/api/v1/tickets", b"", bearer(token(**given)))
    assert status == 201, body
    return secret(str(json.loads(body)["ticket"]))


def stream_with(server: Server, ticket: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    """What a GET of the stream with a ticket is answered; hung up at once."""
    with SSEClient(server.port, f"/api/v1/stream?channel=closed.a&ticket={quote(ticket)}", headers=headers) as client:
        return client.status, client.headers


# Forged tokens


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    head = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return secret(f"{head}.{part(hmac.digest(key, head.encode(), sha256))}")


CLAIMS = {"sub": "root", "aud": AUDIENCE, "subscribe": ["*"], "publish": ["*"], "exp": time.time() + 600}


def test_alg_none(server: Server) -> None:
    forged = secret(jwt.encode(CLAIMS, "", algorithm="none"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_algorithm")
    assert refusal(server, "POST", "/api/v1/events", {"channel": "a", "data": 1}, bearer(forged))[0] == 401


def test_hs_rs_confusion_and_unknown_kid(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key()
    row = dict(RSAAlgorithm.to_jwk(public, as_dict=True)) | {"kid": "1"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [row]}))
    with serve(
        tmp_path / "server", jwt_public_key_file=tmp_path / "jwks.json", jwt_audience=AUDIENCE, anonymous_channels=""
    ) as server:
        good = jwt.encode(CLAIMS, private, "RS256", headers={"kid": "1"})
        assert is_let_in(server, bearer(good))
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for known in (pem, pem.strip(), json.dumps(row).encode(), (tmp_path / "jwks.json").read_bytes(), b""):
            forged = by_hand({"alg": "HS256", "kid": "1"}, CLAIMS, known)
            assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (
                401,
                "token_algorithm",
            )
        for kid in ("2", "../../../dev/null", "https://evil.example/jwks.json", "1' OR '1'='1", "/etc/passwd", "1\0"):
            forged = jwt.encode(CLAIMS, private, "RS256", headers={"kid": kid})
            assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_key")


@pytest.mark.parametrize("audience", [None, "shop", ["shop", "simulcast2"], ""])
def test_wrong_audience(server: Server, audience: Any) -> None:
    claims = CLAIMS | {"aud": audience}
    forged = secret(jwt.encode({k: v for k, v in claims.items() if v is not None}, JWT_KEY, "HS256"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_audience")


def test_the_key_of_another_service(server: Server) -> None:
    forged = secret(jwt.encode(CLAIMS, "x" * 32, "HS256"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_signature")


def test_a_token_for_ever(server: Server) -> None:
    for end, code in ((time.time() + 10 * 86400, "token_too_long"), (None, "token_claims")):
        claims = {k: v for k, v in (CLAIMS | {"exp": end}).items() if v is not None}
        forged = secret(jwt.encode(claims, JWT_KEY, "HS256"))
        assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, code)


@pytest.mark.parametrize("guess", [KEY[:-1], KEY + "x", KEY.upper(), "", "*", "null", "undefined", "Bearer"])
def test_guesses_at_the_key(server: Server, guess: str) -> None:
    assert refusal(server, "POST", "/api/v1/events", {"channel": "a", "data": 1}, bearer(guess)) == (
        401,
        "token_malformed",
    )


# Tickets


def test_a_ticket_used_twice(workers: Fleet) -> None:
    ticket = ticket_for(workers.one)
    assert stream_with(workers.two, ticket)[0] == 200
    for server in workers:
        path = f"/api/v1/stream?channel=closed.a&ticket={ticket}"
        assert refusal(server, "GET", path) == (401, "ticket_spent")
        assert refusal(server, "GET", path.replace("closed.a", "open.a"))[0] == 401, "nor for what is open to all"


def test_one_thousand_tickets_each_used_by_two_at_once_let_in_one_each(workers: Fleet) -> None:
    """Of each two one is at one worker and one at the other; both send in the same instant."""
    count, lanes = 1000, 4
    tickets = many_tickets(workers.one, count)
    statuses: dict[str, list[int]] = {ticket: [] for ticket in tickets}

    def race(server: Server, own: list[str], start: threading.Barrier) -> None:
        for ticket in own:
            with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
                start.wait(15)
                sock.sendall(
                    f"GET /api/v1/stream?channel=closed.a&ticket={ticket} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                )
                statuses[ticket].append(int(sock.recv(4096).split()[1]))

    threads = []
    for lane in range(lanes):
        start = threading.Barrier(2)
        for server in workers:
            threads.append(threading.Thread(target=race, args=(server, tickets[lane::lanes], start)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [ticket for ticket, seen in statuses.items() if sorted(seen) != [200, 401]] == []


def many_tickets(server: Server, count: int) -> list[str]:
    """Over one connection."""
    headers = bearer(token(subscribe=["closed.*"]))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    tickets = []
    for _ in range(count):
        connection.request("POST", "/api/v1/tickets", b"", headers)
        tickets.append(str(json.loads(connection.getresponse().read())["ticket"]))
    connection.close()
    return tickets


def cookie_of(headers: dict[str, str]) -> str:
    """What a browser sends back."""
    return secret(headers["set-cookie"].split(";")[0])


def test_a_spent_ticket_with_another_browsers_cookie(workers: Fleet) -> None:
    mine, theirs = ticket_for(workers.one), ticket_for(workers.one)
    _, my_headers = stream_with(workers.one, mine)
    _, their_headers = stream_with(workers.two, theirs)
    my_cookie, their_cookie = cookie_of(my_headers), cookie_of(their_headers)
    for server in workers:
        assert stream_with(server, mine, {"Cookie": my_cookie})[0] == 200, "my own browser comes back"
        assert stream_with(server, mine, {"Cookie": f"{their_cookie}; {my_cookie}"})[0] == 200
        name, value = my_cookie.split("=")
        for cookie in (their_cookie, f"{name}=", f"{name}=x", name, f"{name}={value[:-1]}", f"{COOKIE}={value}", ""):
            assert stream_with(server, mine, {"Cookie": cookie})[0] == 401, cookie


def test_a_browsers_cookie_without_its_ticket(server: Server) -> None:
    cookie = cookie_of(stream_with(server, ticket_for(server))[1])
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, {"Cookie": cookie}) == (401, "no_grant")


def test_a_hundred_made_up_browser_cookies_neither_let_in_nor_lock_out(server: Server) -> None:
    ticket = ticket_for(server)
    mine = cookie_of(stream_with(server, ticket)[1])
    planted = "; ".join(f"simulcast_browser_{number}={number}" for number in range(100))
    assert stream_with(server, ticket, {"Cookie": planted})[0] == 401
    assert stream_with(server, ticket, {"Cookie": f"{planted}; {mine}"})[0] == 200


def test_a_spent_ticket_is_good_at_its_own_url_alone(workers: Fleet) -> None:
    """security F3: with the cookie it opened other channels, other routes, and /ws."""
    ticket = ticket_for(workers.one)
    cookie = {"Cookie": cookie_of(stream_with(workers.one, ticket)[1])}
    for path in (
        "/api/v1/stream?channel=closed.b",
        "/api/v1/stream?channel=closed.a&channel=closed.b",
        "/ws?channel=closed.a",
    ):
        headers = {**cookie, **(UPGRADE if path.startswith("/ws") else {})}
        assert workers.two.request("GET", f"{path}&ticket={ticket}", headers=headers)[0] == 401, path
    assert stream_with(workers.two, ticket, cookie)[0] == 200


def test_a_ticket_that_a_websocket_has_spent_is_spent(workers: Fleet) -> None:
    ticket = ticket_for(workers.one)
    with JSONSocket(workers.one, f"/ws?channel=closed.a&ticket={ticket}") as ws:
        ws.until("connected")
    for path in (f"/ws?channel=closed.a&ticket={ticket}", f"/api/v1/stream?channel=closed.a&ticket={ticket}"):
        headers = UPGRADE if path.startswith("/ws") else {}
        assert workers.two.request("GET", path, headers=headers)[0] == 401


def test_a_ticket_lets_in_one_stream_at_a_time(workers: Fleet) -> None:
    """security F3: ten streams at once. The one that comes back replaces the one that it had, in whichever worker that is."""
    ticket = ticket_for(workers.one)
    path = f"/api/v1/stream?channel=closed.a&ticket={ticket}"
    with SSEClient(workers.one.port, path) as first:
        first.until("connected")
        cookie = {"Cookie": cookie_of(first.headers)}
        with SSEClient(workers.two.port, path, headers=cookie) as second:
            second.until("connected")
            assert first.until("closed").json == {"reason": "finished", "reconnect": False}
            with SSEClient(workers.two.port, path, headers=cookie) as third:
                third.until("connected")
                assert second.until("closed").json == {"reason": "finished", "reconnect": False}
                workers.one.publish("closed.a", 1)
                assert third.until("message").json == 1


def test_the_cookie_of_a_ticket_is_of_no_use_to_scripts_and_other_sites(server: Server) -> None:
    attributes = stream_with(server, ticket_for(server))[1]["set-cookie"].split("; ")[1:]
    assert set(attributes) >= {"HttpOnly", "SameSite=Lax", "Path=/api/v1/stream"}
    assert "Secure" not in attributes, "this is http"
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert any(attribute.startswith("Max-Age=") for attribute in attributes)


def test_a_ticket_where_nothing_streams(workers: Fleet) -> None:
    """In a URL that can be guessed to be safe to follow; and it is not spent by that."""
    server = workers.one
    ticket = ticket_for(server, publish=["*"])
    for method, path, body in (
        ("GET", "/api/v1/channels/closed.a/history", None),
        ("HEAD", "/api/v1/stream", None),
        ("POST", "/api/v1/events", {"channel": "a", "data": 1}),
        ("POST", "/api/v1/tickets", b""),
        ("GET", "/api/v1/wukongs/host", None),
    ):
        status, _, _ = server.request(method, f"{path}?channel=closed.a&ticket={ticket}", body)
        assert status == 401, path
    assert stream_with(workers.two, ticket)[0] == 200


def test_a_ticket_for_another_channel_than_the_tokens(server: Server) -> None:
    ticket = ticket_for(server, subscribe=["other.*"])
    assert stream_with(server, ticket)[0] == 403


def test_a_ticket_does_not_outlive_its_token(server: Server) -> None:
    ticket = ticket_for(server, seconds=3)  # it must be used by then
    with SSEClient(server.port, f"/api/v1/stream?channel=closed.a&ticket={ticket}") as client:
        cookie = cookie_of(client.headers)
        assert client.until("closed").json == {"reason": "expired", "reconnect": False}
    assert stream_with(server, ticket, {"Cookie": cookie})[0] == 401


def test_a_ticket_from_nobody(server: Server) -> None:
    assert refusal(server, "POST", "/api/v1/tickets", b"")[0] == 401


@pytest.mark.parametrize(
    "ticket", ["", " ", "x", "é", "\0", "*", "%", "x" * 7000, "' OR 1=1 --", "ticket:x", "\r\nSet-Cookie: a=b"]
)
def test_made_up_and_oversized_tickets(server: Server, ticket: str) -> None:
    status, headers = stream_with(server, ticket)
    assert status == 401
    assert "set-cookie" not in headers


@pytest.mark.parametrize("length", [5_000, 8_000, 20_000, 100_000])
def test_oversized_tokens(server: Server, length: int) -> None:
    """Some are gunicorn's to refuse. None is remembered, none hurts."""
    try:
        status = server.request("GET", "/api/v1/stream?channel=open.a", headers=bearer("e" * length))[0]
    except (ConnectionError, http.client.HTTPException):
        status = 400
    assert 400 <= status < 500
    assert server.request("GET", "/healthz")[0] == 200


# Cookies


def publish_with(server: Server, headers: dict[str, str]) -> int:
    return server.request("POST", "/api/v1/events", {"channel": "closed.csrf", "data": 1}, headers)[0]


def cookie() -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={token(subscribe=['closed.*'], publish=['closed.*'])}"}


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


# Wildcards and names


RESERVED = ["user:bob", "listener:7b29735d84c195f9", "presence:closed.a", "all"]


def test_a_wildcard_reaches_no_reserved_channel(server: Server) -> None:
    everything = bearer(token(subscribe=["*"], publish=["*"]))
    assert is_let_in(server, everything)
    for channel in ("user:bob", "listener:7b29735d84c195f9", "presence:closed.a"):
        assert refusal(server, "GET", f"/api/v1/stream?channel={channel}", None, everything) == (403, "not_granted")
        assert refusal(server, "GET", f"/api/v1/channels/{channel}/history", None, everything) == (403, "not_granted")
    for path in ("/api/v1/channels/closed.a/presence", "/api/v1/listeners"):
        assert refusal(server, "GET", path, None, everything) == (403, "not_granted")
    for method, path in (
        ("POST", "/api/v1/broadcast"),
        ("POST", "/api/v1/users/alice/events"),
        ("POST", "/api/v1/listeners/7b29735d84c195f9/events"),
        ("DELETE", "/api/v1/listeners/7b29735d84c195f9"),
        ("DELETE", "/api/v1/users/alice/grants"),
    ):
        assert refusal(server, method, path, {"data": 1}, everything) == (403, "not_granted")


@pytest.mark.parametrize("name", ["*", "closed.*", "presence:", "user:", "all", "listener:*", "{sub}", "a*"])
def test_a_subject_that_is_a_pattern(server: Server, name: str) -> None:
    greedy = bearer(token(name, subscribe=["inbox.{sub}", "{sub}", "{sub}*"], publish=["{sub}", "{sub}*"]))
    for channel in ("closed.a", "inbox.alice", "user:bob", "presence:closed.a", "listener:7b29735d84c195f9"):
        assert not is_let_in(server, greedy, channel)
        assert server.request("POST", "/api/v1/events", {"channel": channel, "data": 1}, greedy)[0] == 403
    assert server.request("POST", "/api/v1/broadcast", {"data": 1}, greedy)[0] == 403
    assert server.request("GET", "/api/v1/channels/closed.a/presence", headers=greedy)[0] == 403


@pytest.mark.parametrize(
    "channel", ["wukong-agent.host", "wukong-replies.host", "chatroom:lobby", "chatroom:lobby:typing"]
)
def test_a_star_neither_commands_machines_nor_speaks_as_others(server: Server, channel: str) -> None:
    """sec "what * means": the service's own channels have to be spelled out, as reserved names have."""
    event = {"channel": channel, "data": 1}
    for pattern in ("*", "w*", "wukong-*", "chat*", "chatroom*", "{sub}*"):
        named = bearer(token("chatroom:", subscribe=[pattern, "presence:*"], publish=[pattern]))
        assert refusal(server, "POST", "/api/v1/events", event, named) == (403, "not_granted")
        for path in (f"stream?channel={channel}", f"channels/{channel}/history", f"channels/{channel}/presence"):
            assert refusal(server, "GET", f"/api/v1/{path}", None, named) == (403, "not_granted")
    everything = bearer(token(subscribe=["*"], publish=["*"]))
    assert refusal(server, "POST", "/api/v1/wukongs/host/commands", {"command": "ping"}, everything) == (
        403,
        "not_granted",
    )
    prefix = channel[: channel.index("." if "." in channel else ":") + 1]
    spelled = bearer(token(subscribe=[f"{prefix}*", f"presence:{channel}"], publish=[channel]))
    for headers in (spelled, BEARER):
        assert server.request("POST", "/api/v1/events", event, headers)[0] == 201
        assert is_let_in(server, headers, channel)
        for path in ("history", "presence"):
            assert server.request("GET", f"/api/v1/channels/{channel}/{path}", headers=headers)[0] == 200


def test_a_star_for_everybody_opens_none_of_the_services_own_channels(tmp_path: Path) -> None:
    with serve(tmp_path, anonymous_channels="*") as open_to_all:
        assert is_let_in(open_to_all, {}, "news")
        for channel in ("wukong-agent.host", "wukong-replies.host", "chatroom:lobby", "presence:chatroom:lobby"):
            assert open_to_all.request("GET", f"/api/v1/channels/{channel}/history")[0] == 401


@pytest.mark.parametrize("channel", [*RESERVED, "simulcast:control"])
def test_publishing_to_reserved_names_as_if_they_were_channels(server: Server, channel: str) -> None:
    """Not even with the key: only the hub speaks in these names."""
    named = bearer(token(publish=["*", "all", "user:*", "presence:*", "listener:*", "simulcast:*"]))
    for headers in (named, BEARER):
        for body in ({"channel": channel, "data": 1}, {"channels": ["closed.a", channel], "data": 1}):
            status, _, _ = server.request("POST", "/api/v1/events", body, headers)
            assert status in (400, 403)


def test_the_channel_workers_talk_on(server: Server) -> None:
    named = bearer(token(subscribe=["simulcast:*", "*"], publish=["simulcast:*"]))
    for path in ("/api/v1/stream?channel=simulcast:control", "/api/v1/channels/simulcast:control/history"):
        assert refusal(server, "GET", path, None, named) == (400, "channel_name")


def test_one_allowed_channel_beside_one_that_is_not(server: Server) -> None:
    headers = bearer(token(subscribe=["closed.a"], publish=["closed.a"]))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a&channel=closed.b", None, headers) == (
        403,
        "not_granted",
    )
    batch = [{"channel": "closed.a", "data": 1}, {"channel": "closed.b", "data": 2}]
    assert refusal(server, "POST", "/api/v1/events", batch, headers) == (403, "not_granted")
    assert (
        refusal(server, "POST", "/api/v1/events", {"channels": ["closed.a", "closed.b"], "data": 1}, headers)[0] == 403
    )


# What was, and who is there


def test_a_narrower_token_replays_nothing(workers: Fleet) -> None:
    """Replay is authorised like live: a position is no key."""
    one, two = workers
    first, _ = one.publish("closed.replay", "secret 1", "secret 2")
    narrow = bearer(token(subscribe=["closed.other"]))
    for query in (
        "channel=closed.replay",
        "channel=closed.replay&channel=closed.other",
        "channel=closed.replay&replay=10",
    ):
        for headers in (narrow, {}):
            status, code = refusal(two, "GET", f"/api/v1/stream?{query}", None, headers | {"Last-Event-ID": first})
            assert (status, code) == ((403, "not_granted") if headers else (401, "no_grant"))
    with SSEClient(two.port, "/api/v1/stream?channel=closed.other", last_event_id=first, headers=narrow) as client:
        client.until("connected")
        one.publish("closed.other", "mine")
        assert client.next().json == "mine"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/channels/closed.a/history", None),
        ("GET", "/api/v1/channels/open.a/presence", None),
        ("GET", "/api/v1/listeners", None),
        ("DELETE", "/api/v1/listeners/7b29735d84c195f9", None),
        ("DELETE", "/api/v1/users/bob/grants", None),
        ("POST", "/api/v1/listeners/7b29735d84c195f9/events", {"data": 1}),
        ("POST", "/api/v1/users/bob/events", {"data": 1}),
        ("POST", "/api/v1/broadcast", {"data": 1}),
        ("POST", "/api/v1/events", {"channel": "open.a", "data": 1}),
        ("POST", "/api/v1/tickets", b""),
        ("PUT", "/api/v1/wukongs/x/status", {}),
        ("GET", "/api/v1/wukongs", None),
    ],
)  # fmt: skip
def test_nobody_may(server: Server, method: str, path: str, body: Any) -> None:
    """History, presence, lists, kicks, publishing: closed without a grant, and with one for something else."""
    assert refusal(server, method, path, body)[0] == 401
    if path != "/api/v1/tickets":
        assert refusal(server, method, path, body, bearer(token(subscribe=["x"], publish=["x"]))) == (
            403,
            "not_granted",
        )


def test_a_kick_needs_no_guess_at_who_is_there(server: Server) -> None:
    """Without a grant one can't even learn whether an id is somebody's."""
    with SSEClient(server.port, "/api/v1/stream?channel=open.a") as client:
        listener = client.until("connected").json["listener"]
        answers = {refusal(server, "DELETE", f"/api/v1/listeners/{one}") for one in (listener, "0" * 16)}
        assert len(answers) == 1


# The end of a grant


def test_an_expired_token_ends_its_stream_and_is_refused_after(server: Server) -> None:
    headers = bearer(token(seconds=3, subscribe=["closed.*"]))
    end = time.time() + 3
    with SSEClient(server.port, "/api/v1/stream?channel=closed.a", headers=headers) as client:
        client.until("connected")
        closed = client.until("closed")
        assert -0.1 < time.time() - end < 1
        assert closed.json == {"reason": "expired", "reconnect": False}
        assert client.next() is None
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, headers) == (401, "token_expired")
    assert refusal(server, "GET", "/api/v1/stream?channel=open.a", None, headers) == (401, "token_expired")


def test_revoking_at_one_worker_ends_the_streams_of_the_other_and_the_token_for_good(workers: Fleet) -> None:
    one, two = workers
    headers = bearer(token("mallory", subscribe=["closed.*"], publish=["closed.*"]))
    ticket = ticket_for(two, user="mallory")
    streams = [SSEClient(each.port, "/api/v1/stream?channel=closed.a", headers=headers) for each in (one, two, two)]
    with_ticket = SSEClient(two.port, f"/api/v1/stream?channel=closed.a&ticket={ticket}")
    cookie = {"Cookie": cookie_of(with_ticket.headers)}
    unused = ticket_for(two, user="mallory")
    for client in (*streams, with_ticket):
        client.until("connected")
    began = time.monotonic()
    assert one.request("DELETE", "/api/v1/users/mallory/grants", None, BEARER)[0] == 204
    for client in (*streams, with_ticket):
        assert client.until("closed").json == {"reason": "revoked", "reconnect": False}
        assert time.monotonic() - began < 1
        client.close()
    for server in workers:
        assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, headers) == (401, "token_revoked")
        assert refusal(server, "POST", "/api/v1/events", {"channel": "closed.a", "data": 1}, headers)[0] == 401
        assert refusal(server, "POST", "/api/v1/tickets", b"", headers)[0] == 401
        assert stream_with(server, ticket, cookie)[0] == 401, "nor by the cookie of a ticket that was spent before"
    assert stream_with(two, unused)[0] == 401, "nor by a ticket that was given out before"
    assert is_let_in(two, bearer(token("mallory", subscribe=["closed.*"]))), "a new token is a new one"


def test_who_was_kicked_for_good_does_not_come_back_by_a_token_without_an_id(workers: Fleet) -> None:
    claims = {"sub": "eve", "aud": AUDIENCE, "subscribe": ["closed.*"], "exp": time.time() + 600}
    headers = bearer(secret(jwt.encode(claims, JWT_KEY, "HS256")))
    with SSEClient(workers.one.port, "/api/v1/stream?channel=closed.a", headers=headers) as client:
        listener = client.until("connected").json["listener"]
        kick = f"/api/v1/listeners/{listener}?reconnect=false"
        wait_until(lambda: workers.two.request("DELETE", kick, None, BEARER)[0] == 204, 5, "the register to know it")
        assert client.until("closed").json["reconnect"] is False
    for server in workers:
        assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, headers) == (401, "token_revoked")


# Headers that lie


def posts_until_limited(server: Server, headers: Callable[[int], dict[str, str]], most: int) -> int:
    """How many get through before the first 429."""
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


# At the end, of all of the above


def test_no_log_has_a_secret_or_a_query_string(workers: Fleet) -> None:
    for server in workers:
        log = server.log
        assert "POST /api/v1/tickets" in log, "the access log is on"
        assert KEY not in log
        assert JWT_KEY not in log
        for text in _secrets:
            for part in {text, text.rpartition("=")[2], text.rpartition(".")[2], text.rpartition(".")[0]}:
                assert len(part) < 16 or part not in log
        assert "ticket=" not in log
        assert "channel=" not in log
        assert "evil.example" not in log


def test_no_attack_made_a_500(workers: Fleet) -> None:
    for server in workers:
        assert "Traceback" not in server.log
        assert '" 500 ' not in server.log
