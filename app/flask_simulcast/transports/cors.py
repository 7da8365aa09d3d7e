"""Which other origins may read what a browser fetches here. Pure functions.

Source: WHATWG Fetch, "CORS protocol and credentials": a server that answers any origin must not allow cookies.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

ANY = "*"
_EXPOSED = "Retry-After"
# What a client of ours sends that a browser does not send unasked. Tracers, polyfills and libraries add their own.
_REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID")
_MAX_ASKED = 32  # a tracer adds two or three
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)  # RFC 9110, 5.6.2
# What a proxy says of a client must not come from a page.
_OF_PROXIES = ("forwarded", "x-forwarded", "x-real", "x-original", "x-rewrite", "proxy-", "via")
# Chromium remembers for two hours at most; after a change of the list nobody should be locked out, or let in, for long.
_MAX_AGE_SECONDS = 600


def is_allowed(origin: str | None, own: str, allowed: Collection[str]) -> bool:
    """Whether a request of this origin may act with the cookies that it carries.

    Args:
        origin: The ``Origin`` header; None where there is none, as on a same-origin GET.
        own: ``scheme://host[:port]`` of this app as the browser knows it.
        allowed: Other origins. A star counts for reading without cookies only, so not here.
    """
    return origin is None or origin == own or (origin in allowed and origin != ANY)


def headers_for(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """The headers that let a page of this origin read the answer; none where only the app's own pages may."""
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
    """The headers that answer a browser's question whether a page of this origin may send something; none that allow
    anything to a page that may not.

    Args:
        methods: That this URL knows.
        asked: The header ``Access-Control-Request-Headers``. Of its names the first 32 are allowed, besides our own: a page
            that may send a token may send what its tracer adds.
    """
    headers = headers_for(origin, allowed)
    headers.pop("Access-Control-Expose-Headers", None)  # a preflight has nothing to read
    if "Access-Control-Allow-Origin" in headers:
        headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
        headers["Access-Control-Allow-Headers"] = ", ".join((*_REQUEST_HEADERS, *_other_names(asked)))
        headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
    return headers


def _other_names(asked: str) -> Iterator[str]:
    """Those that are names, are not among ours, and are not a proxy's to set."""
    ours = {name.lower() for name in _REQUEST_HEADERS}
    for name in map(str.strip, asked.split(",")[:_MAX_ASKED]):
        if _TOKEN.fullmatch(name) and name.lower() not in ours and not name.lower().startswith(_OF_PROXIES):
            yield name
