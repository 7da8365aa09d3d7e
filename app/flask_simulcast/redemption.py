"""Redeem the ticket of a request. Its channels are checked first, and the ticket is spent last."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from flask import Response, after_this_request, g, request

from .errors import UnauthorizedError
from .grant import Grant
from .tickets import Found, Tickets

_COOKIE = "simulcast_browser"
_KEY = "simulcast_ticket"


def find(tickets: Tickets, ticket: str) -> Grant | None:
    """Return the grant of the ticket in the current request. `spend` spends the ticket later. May switch."""
    found = tickets.find(ticket, _url(), _cookies())
    setattr(g, _KEY, found)
    return None if found is None else found.grant


class Redeemed(NamedTuple):
    """The result of a spent ticket.

    Attributes:
        grant: The grant of the ticket.
        is_back: True if the ticket has let in a stream before, which the new stream replaces.
    """

    grant: Grant
    is_back: bool


def spend(tickets: Tickets) -> Redeemed | None:
    """Spend the ticket that `find` found for the current request. Call it after the grant was checked. May switch.

    An EventSource gets a cookie, with which the same ticket lets it in again, because it reconnects to the same URL. A
    WebSocket gets none, because its page asks for a new ticket.

    Returns:
        None if the request has no ticket.

    Raises:
        UnauthorizedError: Another client was faster.
    """
    found: Found | None = g.pop(_KEY, None)
    if found is None:
        return None
    cookie = "" if _is_websocket() or found.is_spent else tickets.cookie_for(list(_cookies()))
    grant = tickets.spend(found, _url(), cookie)
    if grant is None:
        raise UnauthorizedError("The ticket was used a moment ago. Get a new one.", "ticket_spent")
    if cookie:
        _set_cookie(cookie, tickets.max_seconds)
    return Redeemed(grant, found.is_spent)


def _url() -> str:
    """Return the URL of the current request. A browser that reconnects requests exactly the same URL."""
    return request.script_root + request.full_path


def _cookies() -> list[str]:
    return [value for name, value in request.cookies.items(multi=True) if name.startswith(_COOKIE) and value]


def _is_websocket() -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _set_cookie(cookie: str, max_seconds: float) -> None:
    """Set the cookie, with the longest possible lifetime. It is useless without a spent ticket, which ends with its own grant,
    and the browser might have another ticket with more time left.

    The name of a new cookie has a random end. If a new browser opens two streams at once and both cookies had the same name,
    the later answer would replace the cookie of the other stream, which could not come back then.
    """
    name = next((name for name, value in request.cookies.items(multi=True) if value == cookie), "")

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            name or f"{_COOKIE}_{secrets.token_hex(4)}",
            cookie,
            max_age=int(max_seconds),
            path=request.script_root + request.path,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
        return response
