"""Hosts: the host names under which clients may reach this service.

An attacker can point a name at this machine (DNS rebinding). To a browser a page of that name is same-origin, so it could read
everything here that needs no token. And a redirect would carry a ticket to whatever name was sent.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache

from flask import Flask, Request

from ..flask_simulcast import hot
from .errors import ApiError
from .here import this_app, this_request

_KEY = "hosts"

# Balancers and Prometheus ask for these by address. The answers have only numbers.
_ANY_HOST = frozenset({"/healthz", "/readyz", "/metrics"})
_MAX_SHOWN_CHARACTERS = 80
_MAX_KNOWN = 64  # hosts whose check is remembered: it takes 6 µs
_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Check the host of each request before anything else, including WebSockets and unknown URLs."""
    names: tuple[str, ...] = app.config["SIMULCAST_TRUSTED_HOSTS"]
    has_proxy = app.config["SIMULCAST_PROXY_HOPS"] > 0
    if has_proxy and not names:
        _log.warning(
            "SIMULCAST_TRUSTED_HOSTS is not set, so any host is served. Set it to the names that browsers use."
        )

    @lru_cache(_MAX_KNOWN)
    def is_ours(host: str, server: str) -> bool:
        if is_local(host):
            return True
        if names:
            return is_among(host, names)
        # Not set: a service that only this machine can reach has no name on the Internet.
        return has_proxy or not _is_loopback(server) or is_nobodys(host)

    def check_host(request: Request) -> None:
        host = request.environ.get("HTTP_HOST", "")
        if host and request.path not in _ANY_HOST and not is_ours(host, request.environ["SERVER_NAME"]):
            raise ApiError(
                400,
                "unknown_host",
                f"{host[:_MAX_SHOWN_CHARACTERS]!a} is not a name of this service. Add it to SIMULCAST_TRUSTED_HOSTS, or use "
                "one that is there.",
            )

    app.extensions[_KEY] = check_host
    app.before_request(hot.known(lambda: check_host(this_request())))


def check(request: Request) -> None:
    """Check the host of a request, for a hot route.

    Raises:
        ApiError: 400 ``unknown_host``.
    """
    this_app().extensions[_KEY](request)


def is_among(host: str, names: Sequence[str]) -> bool:
    """Tell whether a host is one of these names. A name that begins with a dot means itself and all names below it.

    Args:
        host: As in the header. Its port, its case and a dot at its end are ignored.
        names: In lower case.
    """
    name = _name_of(host)
    return any(name == each.removeprefix(".") or (each[0] == "." and name.endswith(each)) for each in names)


@lru_cache(_MAX_KNOWN)
def is_local(host: str) -> bool:
    """Tell whether this is the machine's name for itself, which no page from elsewhere can have."""
    name = _name_of(host)
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def is_nobodys(host: str) -> bool:
    """Tell whether this can't be owned on the Internet: an address, or a name without a dot as in a container network."""
    name = _name_of(host)
    return "." not in name or _is_address(name)


def _name_of(host: str) -> str:
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or not (port.isdecimal() or not port) or (":" in name and not name.endswith("]")):
        name = host.strip().lower()
    return name.strip("[]").removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
