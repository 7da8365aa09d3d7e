"""Which requests may read the metrics of an app. Pure."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

MayRead = Callable[[], bool]

# A proxy on this machine connects from a loopback address, too. It names its client in one of these.
_OF_A_PROXY = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def is_of_this_machine(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request came from this machine itself, and through no proxy that says so."""
    try:
        peer = ipaddress.ip_address(environ.get("REMOTE_ADDR") or "")
    except ValueError:  # a unix socket has no address: the peer is probably nginx
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return peer.is_loopback and not any(header in environ for header in _OF_A_PROXY)


def has_token(environ: Mapping[str, Any], token: str) -> bool:
    """Tell whether a request has the bearer token. Takes as long for a wrong one as for the right one."""
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
