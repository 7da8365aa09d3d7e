"""Tools of the attacks: tokens, tickets, and all texts that no log must contain."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY
from tests.tools.serving import Server

AUDIENCE = "simulcast"
COOKIE = "session"
FRIEND = "https://app.example"
secrets: set[str] = set()  # texts that must not be found in a log at the end


def secret(text: str) -> str:
    """Note a text that no log must contain."""
    secrets.add(text)
    return text


def token(user: str = "bob", *, seconds: float = 600, **claims: Any) -> str:
    return secret(mint(JWT_KEY, seconds=seconds, user=user, audience=AUDIENCE, **claims))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def refusal(
    server: Server, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and code of a request that must be refused, in JSON, without any of the client's text."""
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
    """Return the answer to a GET of the stream with a ticket, and close it at once."""
    with SSEClient(server.port, f"/api/v1/stream?channel=closed.a&ticket={quote(ticket)}", headers=headers) as client:
        return client.status, client.headers


def cookie_of(headers: dict[str, str]) -> str:
    """Return the cookie that a browser sends back."""
    return secret(headers["set-cookie"].split(";")[0])


def publish_with(server: Server, headers: dict[str, str]) -> int:
    return server.request("POST", "/api/v1/events", {"channel": "closed.csrf", "data": 1}, headers)[0]


def cookie() -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={token(subscribe=['closed.*'], publish=['closed.*'])}"}
