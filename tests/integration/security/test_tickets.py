"""Tickets that are used twice, elsewhere, late, or made up."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from pathlib import Path

import pytest

from tests.integration.security.attacks import (
    AUDIENCE,
    COOKIE,
    bearer,
    cookie_of,
    refusal,
    stream_with,
    ticket_for,
    token,
)
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY, Fleet
from tests.tools.serving import Server, serve, wait_until
from tests.tools.sockets import JSONSocket
from tests.tools.ws_client import WSClient

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


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
            start.wait(15)  # before it connects: who waits for two seconds then is closed
            with socket.create_connection(("127.0.0.1", server.port), timeout=15) as sock:
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


def test_a_ticket_without_a_grant(server: Server) -> None:
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


def test_a_websocket_that_finds_no_room_keeps_its_ticket(tmp_path: Path) -> None:
    """The place of a listener is free before that of its connection, whose client still has to say goodbye."""
    bob = bearer(token(subscribe=["*"], publish=["listener:*"]))
    folder = "app.flask_simulcast.transports.websocket"
    slow = {f"{folder}.lifecycle.CLOSE_SECONDS": 10, f"{folder}.connection.CLOSE_SECONDS": 10}
    settings = {"jwt_key": JWT_KEY, "jwt_audience": AUDIENCE, "anonymous_channels": "", "max_listeners_per_address": 1}
    with serve(tmp_path, constants=slow, **settings) as server:
        ticket = ticket_for(server)
        with WSClient(server.port, "/ws", bob) as first:
            listener = json.loads(first.hear())["connection"]
            assert server.request("DELETE", f"/api/v1/listeners/{listener}", headers=bob)[0] == 204
            wait_until(lambda: is_free(server), 5, "the listener to be gone")
            with WSClient(server.port, f"/ws?channel=closed.a&ticket={ticket}") as second:
                assert second.status == 429
        wait_until(lambda: comes_in(server, f"/ws?channel=closed.a&ticket={ticket}"), 5, "the second to come in")


def is_free(server: Server) -> bool:
    return server.request("HEAD", "/api/v1/stream?channel=closed.a", headers=bearer(token(subscribe=["*"])))[0] == 200


def comes_in(server: Server, path: str) -> bool:
    with WSClient(server.port, path) as client:
        assert client.status != 401, client.body
        return client.status == 101
