"""Requests to grants: the credential of a request, and its `Grant`.

The first credential in this order counts:

1. ``Authorization: Bearer …``: the publish key, or a token.
2. ``?ticket=…``, on routes that stream: for clients that can't send a header.
3. A token in the cookie that ``SIMULCAST_JWT_COOKIE`` names, from pages that may use it.
4. None: the channels that are open to all clients. Every token opens these, too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from flask import Flask, Request, current_app, request

from ..extensions import simulcast
from ..flask_simulcast import ForbiddenError, Grant, UnauthorizedError, cors
from ..web.api import route_of
from ..web.errors import ApiError
from ..web.here import this_app, this_request
from ..web.right import Access
from .keys import read_keys
from .tokens import Tokens

_KEY = "simulcast_auth"
_TICKET = "ticket"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A page of a sibling host opens a stream by CORS, which sends an Origin; a request without one comes from an image or a link.
_JOINING_SITES = frozenset({"same-origin", "none"})
_OWN_SITES = frozenset({None, "same-origin", "same-site", "none"})


@dataclass(frozen=True)
class _Auth:
    """The credentials of one app.

    Attributes:
        publish_key: The publish key; empty for none.
        tokens: Checks tokens.
        takes_tokens: Whether there is a key for tokens.
        cookie: Name of the cookie with a token; empty for none.
        holder: Grant of the publish key.
        nobody: Grant of a client without a credential.
    """

    publish_key: bytes
    tokens: Tokens
    takes_tokens: bool
    cookie: str
    holder: Grant
    nobody: Grant

    def grant_of(self, token: str) -> Grant:
        """Return the grant of a credential in a header: of the publish key, or of a token.

        Raises:
            UnauthorizedError: It is invalid.
        """
        sent = token.encode("latin-1", "backslashreplace")  # a header's bytes, as WSGI has them (PEP 3333)
        if self.publish_key and hmac.compare_digest(sent, self.publish_key):
            return self.holder
        return self.tokens.grant(token)


def init_app(app: Flask) -> None:
    """Read the settings and the keys, and register the authorizer with the extension.

    Raises:
        SettingError: A key is invalid.
    """
    config = app.config
    keys = read_keys(config["SIMULCAST_JWT_KEY"], config["SIMULCAST_JWT_PUBLIC_KEY_FILE"])
    always = config["SIMULCAST_ANONYMOUS_CHANNELS"]
    with app.app_context():
        max_seconds = simulcast.settings.max_grant_seconds
    app.extensions[_KEY] = _Auth(
        publish_key=config["SIMULCAST_PUBLISH_KEY"].encode(),
        tokens=Tokens(
            keys,
            audience=config["SIMULCAST_JWT_AUDIENCE"],
            issuer=config["SIMULCAST_JWT_ISSUER"],
            max_seconds=max_seconds,
            always=always,
        ),
        takes_tokens=bool(keys.algorithms),
        cookie=config["SIMULCAST_JWT_COOKIE"],
        holder=_holder(always),
        nobody=Grant(subscribe=always),
    )
    simulcast.authorizer(authorize, challenge="Bearer")


def authorize() -> Grant:
    """Return the grant of the current request. May switch, for a ticket.

    Raises:
        UnauthorizedError: Its credential is invalid; ``code`` says why.
        ForbiddenError: ``origin``: another site's page used the browser's cookie.
    """
    auth = _here()
    token = _bearer(this_request())
    if token is not None:
        return auth.grant_of(token)
    if _TICKET in request.args and _is_for_tickets():
        return _redeem(request.args[_TICKET])
    token = request.cookies.get(auth.cookie) if auth.cookie else None
    if token:
        _check_origin()
        return auth.tokens.grant(token)
    return auth.nobody


def hot_grant(of: Request) -> Grant | None:
    """Return the grant that `authorize` returns for a request; None if it has a ticket or a cookie, which Flask must look at.

    Raises:
        UnauthorizedError: Its credential is invalid.
    """
    auth = _here()
    token = _bearer(of)
    if token is not None:
        return auth.grant_of(token)
    return None if _TICKET in of.args or (auth.cookie and "HTTP_COOKIE" in of.environ) else auth.nobody


def _holder(always: Iterable[str]) -> Grant:
    """Return the grant of the publish key: everything except listening to what is sent to one user or connection."""
    own = [f"{prefix}*" for prefix in simulcast.reserved]
    presence = [f"presence:{pattern}" for pattern in ("*", *own)]
    return Grant(
        subscribe=("*", *own, *presence, "listener:*", "run:*", *always),
        publish=("*", *own, "all", "user:*", "listener:*"),
    )


def check_open() -> None:
    """Check that there is a credential with which a client may publish.

    Raises:
        ApiError: 403 ``publish_closed``.
    """
    auth = _here()
    if not auth.publish_key and not auth.takes_tokens:
        raise ApiError(
            403,
            "publish_closed",
            "Publishing is closed here. Set SIMULCAST_JWT_KEY or SIMULCAST_PUBLISH_KEY, and send a token or the key.",
        )


# Where a credential is found


def _here() -> _Auth:
    auth: _Auth = this_app().extensions[_KEY]
    return auth


def _bearer(request: Request) -> str | None:
    """Return the text after ``Bearer``; None for another scheme, which may belong to a proxy with its own passwords."""
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _is_for_tickets() -> bool:
    """Tell whether this is a stream. Not for HEAD: a client that only checks a link must not spend the ticket in it."""
    route = route_of(current_app.view_functions.get(request.endpoint or ""))
    return request.method == "GET" and route is not None and route.access is Access.LISTEN


def _redeem(ticket: str) -> Grant:
    grant = simulcast.redeem_ticket(ticket)
    if grant is None:
        raise UnauthorizedError(
            "The ticket was used already, has expired, or is invalid. POST /api/v1/tickets gives a new one.",
            "ticket_spent",
        )
    return grant


def _check_origin() -> None:
    """Check that a page of ours, or of an allowed origin, sent the request: a browser sends its cookies for any page.

    Source: OWASP, Cross-Site Request Forgery Prevention, "Verifying Origin With Standard Headers" and "Fetch Metadata".

    Raises:
        ForbiddenError: ``origin``.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None:
        own = request.host_url.rstrip("/")
        is_ours = cors.is_allowed(origin, own, simulcast.settings.allowed_origins)
    elif _joins():
        is_ours = site in _JOINING_SITES if site is not None else _asks_for_events()
    elif request.method in _SAFE_METHODS:
        is_ours = site in _OWN_SITES
    else:
        is_ours = site == "same-origin"
    if not is_ours:
        raise ForbiddenError(
            "A page of another origin asks, with this browser's cookie. Name the origin in SIMULCAST_ALLOWED_ORIGINS, or "
            "send the token in the header Authorization: Bearer <token>.",
            "origin",
        )


def _joins() -> bool:
    """Tell whether this opens a stream, which other clients may see. A WebSocket from a browser always has an Origin."""
    return _is_for_tickets() and not getattr(request.url_rule, "websocket", False)


def _asks_for_events() -> bool:
    """Tell whether the request accepts events. For programs, and browsers that do not name the asking site (Safari before
    16.4): an image or a script of a sibling host can't ask for these types."""
    accept = request.headers.get("Accept", "")
    return "text/event-stream" in accept or "application/x-ndjson" in accept
