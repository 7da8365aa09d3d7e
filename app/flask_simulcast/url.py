"""Show a log's URL without secrets, and find the file that it names. Pure.

If a URL can't be parsed, any part of it might be a password. So only URLs that are understood completely are shown.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}", re.ASCII | re.IGNORECASE)
_HIDDEN = "(not shown: it might contain a password)"


def shown(url: object) -> str:
    """Return a URL for a message, a log or a ``repr``: ``sqlite:///…`` and ``memory://`` unchanged, of others the scheme only."""
    if not isinstance(url, str):
        return repr(url) if url is None or isinstance(url, int | float) else _HIDDEN
    scheme, separator, _ = url.partition("://")
    if url == "memory://" or sqlite_path(url) is not None:
        return repr(url)
    return f"{scheme}://…" if separator and _SCHEME.fullmatch(scheme) else _HIDDEN


def sqlite_path(url: str) -> str | None:
    """Return the path of the file that a URL names, absolute or relative; None if it names no file."""
    path = url.removeprefix("sqlite:///")
    return path if path and path != url else None


def sqlite_url(path: str) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"
