"""CORS: which other origins may read the answers that a browser fetches here. Pure functions.

Source: WHATWG Fetch, "CORS protocol and credentials": a server that answers any origin must not allow cookies.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

ANY = "*"
_EXPOSED = "Retry-After"
# Headers of our clients that a browser sends only after a preflight. Tracers, polyfills and libraries add their own.
_REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID")
_MAX_ASKED = 32  # a tracer adds two or three
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)  # RFC 9110, 5.6.2
# Headers in which a proxy describes a client must not come from a page.
_OF_PROXIES = ("forwarded", "x-forwarded", "x-real", "x-original", "x-rewrite", "proxy-", "via")
# Chromium caches for two hours at most. After a change of the list no page should be locked out, or let in, for long.
_MAX_AGE_SECONDS = 600


def is_allowed(origin: str | None, own: str, allowed: Collection[str]) -> bool:
    """Tell whether a request of this origin may act with the cookies that it carries.

    Args:
        origin: The ``Origin`` header; None without one, as on a same-origin GET.
        own: ``scheme://host[:port]`` of this app as the browser knows it.
        allowed: Other origins. A star allows only reading without cookies, so it does not count here.
    """
    return origin is None or origin == own or (origin in allowed and origin != ANY)


def headers_for(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """Return the headers that let a page of this origin read the answer; none if only the app's own pages may."""
    if not allowed:
        return {}
    if origin is not None and origin in allowed and origin != ANY:
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": _EXPOSED,
            "Vary": "Origin",
        }
    if ANY in allowed:
        return {"Access-Control-Allow-Origin": ANY, "Access-Control-Expose-Headers": _EXPOSED, "Vary": "Origin"}
    return {"Vary": "Origin"}


def preflight_headers(
    origin: str | None, allowed: Collection[str], methods: Iterable[str], asked: str = ""
) -> dict[str, str]:
    """Return the headers that answer a preflight of a page of this origin. For an origin that is not allowed, they allow
    nothing.

    Args:
        methods: Methods of this URL.
        asked: The header ``Access-Control-Request-Headers``. Its first 32 names are allowed, besides our own: a page that may
            send a token may also send what its tracer adds.
    """
    headers = headers_for(origin, allowed)
    headers.pop("Access-Control-Expose-Headers", None)  # a preflight has nothing to read
    if "Access-Control-Allow-Origin" in headers:
        headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
        headers["Access-Control-Allow-Headers"] = ", ".join((*_REQUEST_HEADERS, *_other_names(asked)))
        headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
    return headers


def _other_names(asked: str) -> Iterator[str]:
    """Yield the valid names that are not ours and that no proxy sets."""
    ours = {name.lower() for name in _REQUEST_HEADERS}
    for name in map(str.strip, asked.split(",")[:_MAX_ASKED]):
        if _TOKEN.fullmatch(name) and name.lower() not in ours and not name.lower().startswith(_OF_PROXIES):
            yield name
