"""Which other origins may read what a browser fetches here. Pure functions.

Source: WHATWG Fetch, "CORS protocol and credentials": a server that answers any origin must not allow cookies.
"""

from __future__ import annotations

from collections.abc import Collection

ANY = "*"
_EXPOSED = "Retry-After"


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
