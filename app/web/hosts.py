"""Hosts: the names under which this service may be asked for.

A page of a name that its owner points to this machine (DNS rebinding) is same-origin to its browser: it could read all that
is open to anyone here. And a redirect would carry a ticket to whatever name was sent.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

from flask import Flask, request

from .errors import ApiError

# Asked by address, of balancers and Prometheus; they tell numbers alone.
_ANY_HOST = frozenset({"/healthz", "/readyz", "/metrics"})
_MAX_SHOWN_CHARACTERS = 80
_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Before all else: the host is checked for each request, WebSockets and what is not found included."""
    names: list[str] = app.config["SIMULCAST_TRUSTED_HOSTS"]
    has_proxy = app.config["SIMULCAST_PROXY_HOPS"] > 0
    if has_proxy and not names:
        _log.warning(
            "SIMULCAST_TRUSTED_HOSTS is not set, so any host is served. Set it to the names that browsers use."
        )

    def check_host() -> None:
        host = request.environ.get("HTTP_HOST", "")
        if not host or request.path in _ANY_HOST or is_local(host):
            return
        if names:
            is_ours = is_among(host, names)
        else:  # nobody has said: what only this machine can reach has no name on the Internet
            is_ours = has_proxy or not _is_loopback(request.environ["SERVER_NAME"]) or is_nobodys(host)
        if not is_ours:
            raise ApiError(
                400,
                "unknown_host",
                f"{host[:_MAX_SHOWN_CHARACTERS]!a} is not a name of this service. Add it to SIMULCAST_TRUSTED_HOSTS, or use "
                "one that is there.",
            )

    app.before_request(check_host)


def is_among(host: str, names: Sequence[str]) -> bool:
    """Whether one of these names is meant. One that begins with a dot means all below it, and itself.

    Args:
        host: As in the header: a port does not matter, nor does case, nor a dot at the end.
        names: In lower case.
    """
    name = _name_of(host)
    return any(name == each.removeprefix(".") or (each[0] == "." and name.endswith(each)) for each in names)


def is_local(host: str) -> bool:
    """Whether this is the machine's own name for itself, which no page of elsewhere can have."""
    name = _name_of(host)
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def is_nobodys(host: str) -> bool:
    """Whether nobody on the Internet can own this: an address, or a name without a dot as in a container network."""
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
