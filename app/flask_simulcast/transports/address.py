"""The client's address, for limits. One parser, and one function for every limit by address."""

from __future__ import annotations

import ipaddress
import logging
import re

from flask import Request

from ..settings import Settings

#: Stands for every address that can't be read, such as ``unknown`` from a proxy (RFC 7239, 6.3). These clients share one
#: limit: a limit for each text would be no limit, as the client may choose the text.
UNREADABLE = "unreadable"

_PREFIX_BITS = 64  # an IPv6 client has all 2⁶⁴ addresses of its network (RFC 6177)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1
_IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}", re.ASCII)
_IPV6_IN_BRACKETS = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?", re.ASCII)

_log = logging.getLogger("flask_simulcast")
_said: set[tuple[str, str]] = set()


def address_of(request: Request, setting: str) -> str:
    """Return the client's address for a limit, as `canonical` writes it. Empty if the request has none, as behind a unix
    socket without ProxyFix: then the limit does nothing. A missing address, and one that can't be read, is logged once a
    process.

    Args:
        setting: Name of the limit's setting, for the log.
    """
    text = request.remote_addr
    if not text:
        _say_once(
            setting,
            "A request has no address, so %s does nothing. Behind a unix socket the proxy must send X-Forwarded-For, "
            "and Werkzeug's ProxyFix must know how many proxies there are.",
        )
        return ""
    address = canonical(text)
    if address == UNREADABLE:
        _say_once(
            setting,
            "A proxy gives a client an address that can't be read, so all such clients share one limit of %s. Let the proxy "
            "write the client's IP address into X-Forwarded-For.",
        )
    return address


def limited_address(request: Request, settings: Settings) -> str:
    """Return the same for the limit of connections; empty if there is no such limit."""
    return address_of(request, "SIMULCAST_MAX_LISTENERS_PER_ADDRESS") if settings.max_listeners_per_address else ""


def canonical(text: str) -> str:
    """Return one text for each client, however the server or a proxy writes its address. Pure.

    A port and a zone are removed. An IPv6 address becomes its network, /64; one that stands for an IPv4 address becomes that
    address. Any other text becomes `UNREADABLE`.
    """
    text = text.strip()
    match = _IPV4_WITH_PORT.fullmatch(text) or _IPV6_IN_BRACKETS.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] if match else text).partition("%")[0])
    except ValueError:
        return UNREADABLE
    if isinstance(address, ipaddress.IPv6Address):
        inner = _ipv4_within(address)
        if inner is None:
            return str(ipaddress.IPv6Network((address, _PREFIX_BITS), strict=False))
        address = inner
    return str(address)


def _ipv4_within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that this one stands for: on a dual-stack socket (RFC 4291, 2.5.5.2), NAT64, 6to4 (RFC 3056: one
    IPv4 address has 2¹⁶ networks of /64), or Teredo (RFC 4380: all clients of a server share one /64)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    return None if address.teredo is None else address.teredo[1]


def _say_once(setting: str, message: str) -> None:
    if (setting, message) not in _said:
        _said.add((setting, message))
        _log.warning(message, setting)
