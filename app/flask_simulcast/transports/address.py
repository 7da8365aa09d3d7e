"""Where a client is: for limits."""

from __future__ import annotations

import ipaddress
import logging

from flask import Request

_log = logging.getLogger("flask_simulcast")
_said: set[str] = set()


def address_of(request: Request, setting: str) -> str:
    """The client's address as far as a limit is concerned: its network, for IPv6. Empty where it is not known, as behind a
    unix socket without ProxyFix; that is logged once a process, for then the limit does nothing.

    Args:
        setting: That makes the limit, for the log.
    """
    address = request.remote_addr
    if not address:
        if setting not in _said:
            _said.add(setting)
            _log.warning(
                "A request has no address, so %s does nothing. Behind a unix socket the proxy must send X-Forwarded-For, "
                "and the app must know how many proxies there are (Werkzeug's ProxyFix; the service's SIMULCAST_PROXY_HOPS).",
                setting,
            )
        return ""
    return _network_of(address)


def _network_of(address: str) -> str:
    """Whoever has one IPv6 address has the 2⁶⁴ beside it (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
