"""The end of a grant: expired, revoked, kicked."""

from __future__ import annotations

import time

import jwt

from tests.integration.security.attacks import (
    AUDIENCE,
    bearer,
    cookie_of,
    is_let_in,
    refusal,
    secret,
    stream_with,
    ticket_for,
    token,
)
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY, Fleet
from tests.tools.serving import BEARER, Server, wait_until


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


def test_a_user_kicked_for_good_does_not_come_back_by_a_token_without_an_id(workers: Fleet) -> None:
    claims = {"sub": "eve", "aud": AUDIENCE, "subscribe": ["closed.*"], "exp": time.time() + 600}
    headers = bearer(secret(jwt.encode(claims, JWT_KEY, "HS256")))
    with SSEClient(workers.one.port, "/api/v1/stream?channel=closed.a", headers=headers) as client:
        listener = client.until("connected").json["listener"]
        kick = f"/api/v1/listeners/{listener}?reconnect=false"
        wait_until(lambda: workers.two.request("DELETE", kick, None, BEARER)[0] == 204, 5, "the register to know it")
        assert client.until("closed").json["reconnect"] is False
    for server in workers:
        assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, headers) == (401, "token_revoked")
