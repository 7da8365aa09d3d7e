"""What grants open: by key, token, cookie and ticket; how fast one may publish; and tokens from the command line."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.flask_simulcast.errors import SettingError
from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import call, token
from tests.tools.serving import BEARER, BURST_SECONDS, KEY, PATHS, ROOT, TICKETS_PER_SECOND, Server, serve, wait_until
from tests.tools.ws_client import WSClient
from tests.tools.zygote import run

JWT_KEY = "j" * 32
COOKIE = "session"


# Two workers, with one bound on how fast a user may publish.
server = server_fixture(
    workers=2, jwt_key=JWT_KEY, jwt_cookie=COOKIE, anonymous_channels="open.*", presence_channels="room.*"
)


def status_of(server: Server, channel: str, headers: dict[str, str] | None = None) -> int:
    return server.request("HEAD", f"/api/v1/stream?channel={channel}", headers=headers)[0]


def test_a_token_opens_what_it_names_and_what_is_open_to_all(server: Server) -> None:
    headers = token("bob", subscribe=["chat.*", "inbox.{sub}"])
    assert [status_of(server, one, headers) for one in ("chat.a", "inbox.bob", "open.a")] == [200, 200, 200]
    assert [status_of(server, one, headers) for one in ("chat", "inbox.alice", "other")] == [403, 403, 403]
    assert [status_of(server, one) for one in ("open.a", "chat.a")] == [200, 401]


def test_one_publishes_where_the_token_says(server: Server) -> None:
    headers = token("bob", publish=["chat.*"])
    assert call(server, "POST", "/events", {"channel": "chat.a", "data": 1}, headers, 201)["positions"]
    refused = call(server, "POST", "/events", {"channel": "news", "data": 1}, headers, 403)
    assert refused["error"]["code"] == "not_granted"
    assert "'news'" in refused["error"]["message"]


def test_what_is_sent_to_a_user_reaches_the_tokens_user(server: Server) -> None:
    headers = token("bob", subscribe=["chat.*"])
    with SSEClient(server.port, "/api/v1/stream?channel=chat.a", headers=headers) as client:
        client.until("connected")
        call(server, "POST", "/users/bob/events", {"data": "for you"}, token(publish=["user:bob"]), 201)
        assert client.until("message").json == "for you"


def test_reserved_names_in_a_grant_say_what_one_may_do_to_people(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=open.a") as client:
        listener = client.until("connected").json["listener"]
        lister = token(subscribe=["listener:*"])
        wait_until(
            lambda: any(one["id"] == listener for one in call(server, "GET", "/listeners", None, lister)["listeners"])
        )
        call(server, "POST", f"/listeners/{listener}/events", {"data": 1}, token(publish=["listener:*"]), 201)
        call(server, "POST", "/broadcast", {"data": 2}, token(publish=["all"]), 201)
        assert [block.json for block in client.take(2, "message")] == [1, 2]
        call(server, "DELETE", f"/listeners/{listener}", None, token(publish=["listener:*"]), 204)
        assert client.until("closed").json == {"reason": "kicked", "reconnect": True}
    assert "members" in call(server, "GET", "/channels/room.a/presence", None, token(subscribe=["presence:room.*"]))


def test_the_tokens_meta_is_told_to_others(server: Server) -> None:
    headers = token("bob", subscribe=["room.*"], meta={"name": "Bob"})
    watch = token(subscribe=["presence:room.*"])
    with SSEClient(server.port, "/api/v1/stream?channel=room.meta", headers=headers):

        def members() -> list[dict[str, Any]]:
            return list(call(server, "GET", "/channels/room.meta/presence", None, watch)["members"])

        wait_until(members, 5, "bob to be there")
        assert [(one["member"], one["meta"]) for one in members()] == [("bob", {"name": "Bob"})]


def test_a_right_to_publish_to_a_wukong_reports_it(server: Server) -> None:
    headers = token("agent", publish=["wukong:mine"], subscribe=["wukong:*"])
    call(server, "PUT", "/wukongs/mine/status", {"cpu_percent": 1}, headers)
    call(server, "PUT", "/wukongs/other/status", {"cpu_percent": 1}, headers, 403)
    assert call(server, "GET", "/wukongs/mine", None, headers)["data"] == {"cpu_percent": 1}
    assert call(server, "GET", "/wukongs", None, headers)["wukongs"]


def test_a_token_in_a_cookie_counts_as_one_in_a_header(server: Server) -> None:
    text = mint(JWT_KEY, seconds=60, subscribe=["chat.*"])
    assert status_of(server, "chat.a", {"Cookie": f"{COOKIE}={text}"}) == 200
    assert status_of(server, "chat.a", {"Cookie": f"other={text}"}) == 401
    assert status_of(server, "chat.a", {"Cookie": f"{COOKIE}="}) == 401
    assert status_of(server, "open.a", {"Cookie": f"{COOKIE}="}) == 200


def test_another_scheme_in_the_header_is_ignored(server: Server) -> None:
    """A password that nginx asks for, say."""
    assert status_of(server, "open.a", {"Authorization": "Basic Ym9iOmJvYg=="}) == 200
    assert status_of(server, "chat.a", {"Authorization": f"bearer  {KEY}"}) == 200


def test_a_ticket_lets_an_eventsource_in_and_back_in(server: Server) -> None:
    answer = call(server, "POST", "/tickets", {"seconds": 30}, token("bob", subscribe=["chat.*"]), 201)
    assert answer["expires_in"] == 30
    path = f"/api/v1/stream?channel=chat.a&ticket={answer['ticket']}"
    with SSEClient(server.port, path) as client:
        client.until("connected")
        server.publish("chat.a", 1)
        assert client.until("message").json == 1
        cookie = {"Cookie": client.headers["set-cookie"].split(";")[0]}
    server.publish("chat.a", 2)
    with SSEClient(server.port, path, last_event_id=client.last_id, headers=cookie) as again:
        assert again.until("message").json == 2


def test_two_streams_that_a_new_browser_opens_at_once_can_both_come_back(server: Server) -> None:
    """Each gets a cookie, and neither replaces the other's."""
    headers = token("bob", subscribe=["chat.*"])
    paths = [
        f"/api/v1/stream?channel=chat.a&ticket={call(server, 'POST', '/tickets', b'', headers, 201)['ticket']}"
        for _ in "ab"
    ]
    jar: dict[str, str] = {}
    for path in paths:
        with SSEClient(server.port, path) as client:
            name, _, value = client.headers["set-cookie"].split(";")[0].partition("=")
            jar[name] = value
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    for path in paths:
        with SSEClient(server.port, path, headers=cookie) as client:
            assert client.status == 200


def test_a_browser_that_has_a_cookie_keeps_it(server: Server) -> None:
    headers = token("bob", subscribe=["chat.*"])
    kept: dict[str, str] = {}
    for _ in range(3):
        ticket = call(server, "POST", "/tickets", b"", headers, 201)["ticket"]
        with SSEClient(server.port, f"/api/v1/stream?channel=chat.a&ticket={ticket}", headers=kept) as client:
            cookie = client.headers["set-cookie"].split(";")[0]
        assert kept in ({}, {"Cookie": cookie})
        kept = {"Cookie": cookie}


def test_a_cookie_that_a_client_chose_is_not_kept(server: Server) -> None:
    """security F3: with a value of its own a client came in as often as it liked."""
    chosen = {"Cookie": "simulcast_browser=1"}
    ticket = call(server, "POST", "/tickets", b"", token("bob", subscribe=["chat.*"]), 201)["ticket"]
    path = f"/api/v1/stream?channel=chat.a&ticket={ticket}"
    with SSEClient(server.port, path, headers=chosen) as client:
        assert "=1;" not in client.headers["set-cookie"]
    with SSEClient(server.port, path, headers=chosen) as client:
        assert client.status == 401


def test_a_ticket_is_not_spent_by_a_request_that_is_refused(server: Server) -> None:
    """security, "a ticket is spent by a 403 or 400"."""
    ticket = call(server, "POST", "/tickets", b"", token("bob", subscribe=["chat.*"]), 201)["ticket"]
    for query, status in (("channel=other", 403), ("channel=a b", 400), ("", 400)):
        assert server.request("GET", f"/api/v1/stream?{query}&ticket={ticket}".replace(" ", "%20"))[0] == status
    with SSEClient(server.port, f"/api/v1/stream?channel=chat.a&ticket={ticket}") as client:
        assert client.status == 200


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("wukongs/nobody/stream?", (404, "no_such_wukong")),
        ("chat/a/stream?user=alice&", (403, "other_user")),
    ],
)
def test_a_ticket_is_not_spent_by_what_a_view_refuses(server: Server, query: str, refused: tuple[int, str]) -> None:
    """security, "a ticket is spent by a 403 or 400", its siblings: the name of another user, a wukong that does not exist."""
    rights = ["chat.*", "wukong:*"]
    ticket = call(server, "POST", "/tickets", b"", token("bob", subscribe=rights), 201)["ticket"]
    status, _, answer = server.request("GET", f"/api/v1/{query}ticket={ticket}")
    assert (status, json.loads(answer)["error"]["code"]) == refused
    with SSEClient(server.port, f"/api/v1/stream?channel=chat.a&ticket={ticket}") as client:
        assert client.status == 200


def test_a_ticket_is_not_spent_by_a_full_worker(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", jwt_key=JWT_KEY, workers=1, max_listeners=1) as server:
        ticket = call(server, "POST", "/tickets", b"", token("bob", subscribe=["a"]), 201)["ticket"]
        path = f"/api/v1/stream?channel=a&ticket={ticket}"
        with SSEClient(server.port, "/api/v1/stream?channel=a", headers=token("ann", subscribe=["a"])) as first:
            first.until("connected")
            assert server.request("GET", path)[0] == 503
            with WSClient(server.port, path.replace("/api/v1/stream", "/ws")) as client:
                assert client.status == 503
        with SSEClient(server.port, path) as client:
            assert client.status == 200


def test_the_cookie_is_for_https_where_the_request_was(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", jwt_key=JWT_KEY, proxy_hops=1) as server:
        ticket = call(server, "POST", "/tickets", b"", token("bob", subscribe=["a"]), 201)["ticket"]
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        with SSEClient(server.port, f"/api/v1/stream?channel=a&ticket={ticket}", headers=headers) as client:
            assert "Secure" in client.headers["set-cookie"].split("; ")


def test_publishing_is_open_with_tokens_alone(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", publish_key="", jwt_key=JWT_KEY) as server:
        call(server, "POST", "/events", {"channel": "a", "data": 1}, token(publish=["a"]), 201)
        assert call(server, "POST", "/events", {"channel": "a", "data": 1}, {}, 401)["error"]["code"] == "no_grant"
        assert (
            call(server, "POST", "/events", {"channel": "a", "data": 1}, BEARER, 401)["error"]["code"]
            == "token_malformed"
        )


# How fast


def test_one_user_publishes_at_a_rate_and_the_key_as_it_likes(tmp_path: Path) -> None:
    with serve(
        tmp_path, broker_url="memory://", jwt_key=JWT_KEY, publish_rate=2, constants={BURST_SECONDS: 2}
    ) as server:
        bob, alice = token("bob", publish=["*"]), token("alice", publish=["*"])
        batch = [{"channel": "a", "data": number} for number in range(4)]
        call(server, "POST", "/events", batch, bob, 201)
        status, headers, body = server.request("POST", "/api/v1/events", batch, bob)
        assert (status, json.loads(body)["error"]["code"]) == (429, "publish_rate")
        seconds = int(headers["retry-after"])
        assert 1 <= seconds <= 2
        call(server, "POST", "/events", batch, alice, 201)
        assert call(server, "POST", "/events", [*batch, *batch], bob, 413)["error"]["code"] == "publish_burst"
        many = {"channels": [f"c{number}" for number in range(5)], "data": 1}
        assert call(server, "POST", "/events", many, bob, 413)["error"]["code"] == "publish_burst"
        for _ in range(20):
            call(server, "POST", "/events", batch, BEARER, 201)
        time.sleep(seconds)  # what Retry-After has promised
        call(server, "POST", "/events", batch, bob, 201)
        assert server.get_json("/api/v1/channels/a/history?limit=1", bob | token(subscribe=["a"]))["events"]


def post_over(path: Path, headers: dict[str, str]) -> int:
    """Publish one event over a unix socket; the status."""
    body = json.dumps({"channel": "a", "data": 1})
    fields = {"Host": "x", "Content-Length": str(len(body)), "Connection": "close"} | BEARER | headers
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        sock.connect(str(path))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        sock.sendall(f"POST /api/v1/events HTTP/1.1\r\n{head}\r\n{body}".encode())
        return int(sock.recv(4096).split()[1])


def test_behind_a_unix_socket_without_hops_the_address_is_unknown_and_that_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.sock"
    bind = f"unix:{path}"
    with serve(
        tmp_path / "service",
        bind=bind,
        broker_url="memory://",
        publish_rate_per_address=1,
        constants={BURST_SECONDS: 5},
    ) as server:
        for _ in range(20):
            assert post_over(path, {"X-Forwarded-For": "192.0.2.1"}) == 201
        assert server.log.count("so SIMULCAST_PUBLISH_RATE_PER_ADDRESS does nothing") == 1


def test_one_user_has_tickets_at_a_rate(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", jwt_key=JWT_KEY, constants={TICKETS_PER_SECOND: 1}) as server:
        ann, bob = (token(user, subscribe=["closed.*"]) for user in ("ann", "bob"))
        for _ in range(10):
            call(server, "POST", "/tickets", None, ann, 201)
        status, headers, body = server.request("POST", "/api/v1/tickets", None, ann)
        assert (status, json.loads(body)["error"]["code"]) == (429, "ticket_rate")
        assert int(headers["retry-after"]) == 1
        call(server, "POST", "/tickets", None, bob, 201)


# From the command line


def cli(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """``flask --app wsgi simulcast token …``, as an operator runs it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")} | {"PYTHONPATH": PATHS}
    environment |= {f"SIMULCAST_{name.upper()}": value for name, value in settings.items()}
    return run(["flask", "--app", f"{ROOT}/wsgi.py", "simulcast", "token", *arguments], folder, environment)


def test_a_token_from_the_command_line_is_taken(server: Server, tmp_path: Path) -> None:
    done = cli(
        tmp_path,
        *("--subscribe", "chat.*,room.*", "--subscribe", "news", "--publish", "chat.*", "--user", "alice"),
        *("--ttl", "60", "--meta", '{"name":"Alice"}'),
        jwt_key=JWT_KEY,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
    assert [status_of(server, one, headers) for one in ("chat.a", "room.a", "news", "other")] == [200, 200, 200, 403]
    call(server, "POST", "/events", {"channel": "chat.a", "data": 1}, headers, 201)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ([], {}, "SIMULCAST_JWT_KEY"),
        ([], {"jwt_key": "short"}, "32 bytes"),
        (["--ttl", "100000"], {"jwt_key": JWT_KEY}, "SIMULCAST_MAX_GRANT_SECONDS"),
        (["--ttl", "nan"], {"jwt_key": JWT_KEY}, "exp"),
        (["--subscribe", "a*b"], {"jwt_key": JWT_KEY}, "star"),
        (["--meta", "[]"], {"jwt_key": JWT_KEY}, "--meta"),
        (["--meta", "{"], {"jwt_key": JWT_KEY}, "--meta"),
        (["--user", "x" * 129], {"jwt_key": JWT_KEY}, "128"),
    ],
)
def test_the_command_line_says_what_to_do(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], said: str
) -> None:
    done = cli(tmp_path, *arguments, **settings)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    assert JWT_KEY not in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"jwt_public_key_file": "/nowhere.pem"}, "SIMULCAST_JWT_PUBLIC_KEY_FILE='/nowhere.pem'"),
        ({"jwt_public_key_file": "/dev/null"}, "SIMULCAST_JWT_PUBLIC_KEY_FILE='/dev/null'"),
        ({"jwt_cookie": "a b"}, "SIMULCAST_JWT_COOKIE='a b'"),
        ({"publish_rate": "-1"}, "SIMULCAST_PUBLISH_RATE='-1'"),
        ({"max_batch_events": "0"}, "SIMULCAST_MAX_BATCH_EVENTS='0'"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(f"SIMULCAST_{name.upper()}", value)
    with pytest.raises(SettingError, match=re.escape(said)):
        create_app()


def test_a_wrong_key_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as stopped, serve(tmp_path, jwt_key="too short"):
        pass
    assert "SIMULCAST_JWT_KEY=(not shown)" in str(stopped.value)
    assert "too short" not in str(stopped.value)
