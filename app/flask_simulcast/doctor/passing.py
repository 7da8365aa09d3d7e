"""Checks of a request's way to the app: does what a client sends arrive?"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..transports.mirror import COOKIE
from .faults import fault
from .finding import Finding, sound, unseen
from .visit import Visit

_PLAIN_PORTS = {"http": ":80", "https": ":443"}
# What proxies call themselves in the header Server.
_PROXIES = re.compile("nginx|openresty|caddy|envoy|apache|litespeed|cloudflare|awselb|cloudfront", re.IGNORECASE)


def resume(visit: Visit) -> Finding:
    """Look whether ``Last-Event-ID`` arrives: a client whose stream has ended for good is answered 204."""
    return _arrives(
        lambda: visit.ended_status(by_header=True),
        sound("resume", "Last-Event-ID reaches the worker."),
        fault(
            "resume_lost", "Last-Event-ID does not reach the worker, so clients miss what came while they were away."
        ),
    )


def query_string(visit: Visit) -> Finding:
    """Look whether the query arrives: tickets and ``?last_event_id=`` are in it."""
    if visit.has_ticket:
        return sound("query string", "The query reaches the worker: its ticket was accepted.")
    return _arrives(
        lambda: visit.ended_status(by_query=True),
        sound("query string", "The query reaches the worker."),
        fault("query_lost", "The query string does not reach the worker: tickets and ?last_event_id= are lost."),
    )


def _arrives(ask: Callable[[], int], arrived: Finding, lost: Finding) -> Finding:
    status = ask()
    if status == 204:
        return arrived
    return lost if status == 200 else unseen(lost.check, f"The server answered {status}.")


def cookies(visit: Visit) -> Finding:
    """Look whether cookies pass, both ways."""
    if visit.reflection is None:
        return _no_mirror("cookies")
    if not visit.reflection["has_cookie"]:
        return fault("cookie_lost", "A cookie does not reach the worker: sessions and spent tickets are lost.")
    if visit.target.cookies.get(COOKIE) != "back":
        return fault("set_cookie_lost", "A cookie that the app sets does not reach the client.")
    return sound("cookies", "Cookies pass both ways.")


def host(visit: Visit) -> Finding:
    """Look under which origin the app sees itself. WebSockets, cookies and redirects need the client's."""
    if visit.reflection is None:
        return _no_mirror("host")
    seen, given = map(_canonical, (visit.reflection["origin"], visit.target.origin))
    if seen == given:
        return sound("host", f"The app sees itself at {given}.")
    seen_scheme, _, seen_host = seen.partition("://")
    scheme, _, name = given.partition("://")
    if seen_host != name:
        return fault(
            "host_lost",
            f"The app sees itself at {seen}: it refuses a WebSocket of its own page at {given}.",
            (seen_host,),
        )
    return fault(
        "scheme_lost",
        f"The app takes {scheme} for {seen_scheme}: it refuses a WebSocket of its own page.",
        (scheme, seen_scheme),
    )


def _canonical(origin: str) -> str:
    return origin.lower().removesuffix(_PLAIN_PORTS[origin.partition(":")[0]])


def client_address(visit: Visit) -> Finding:
    """Look whether the app knows its clients' addresses: behind a proxy all of them might share one limit."""
    seen = visit.reflection
    if seen is None:
        return _no_mirror("client address")
    if not seen["max_listeners_per_address"]:
        return sound("client address", "There is no limit for an address.")
    is_behind_proxy = seen["forwarded"] or _PROXIES.search(visit.server) is not None
    if is_behind_proxy and not (seen["forwarded"] and seen["trusts_proxy"]):
        return fault(
            "address_lost",
            "The app takes the proxy for its client: all clients together have the limit of one address, "
            f"{seen['max_listeners_per_address']} listeners a worker.",
            (seen["address"] or "none",),
        )
    return sound("client address", f"The app sees the client at {seen['address'] or 'no address'}.")


def _no_mirror(check: str) -> Finding:
    return unseen(check, "Only a worker can tell. It does to a doctor that runs with the log of the app at this URL.")
