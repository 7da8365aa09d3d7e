"""url: what of a log's URL may be shown, and which file it names. Pure.

A password may stand in any part of a URL that can't be read, so only what can be read to its end is shown.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}", re.ASCII | re.IGNORECASE)
_HIDDEN = "(not shown: there may be a password in it)"


def shown(url: object) -> str:
    """A URL for a message, a log or a ``repr``: ``sqlite:///…`` and ``memory://`` as they are, of any other its scheme alone."""
    if not isinstance(url, str):
        return repr(url) if url is None or isinstance(url, int | float) else _HIDDEN
    scheme, separator, _ = url.partition("://")
    if url == "memory://" or sqlite_path(url) is not None:
        return repr(url)
    return f"{scheme}://…" if separator and _SCHEME.fullmatch(scheme) else _HIDDEN


def sqlite_path(url: str) -> str | None:
    """The file that a URL names, relative as it may be; None for one that names no file."""
    path = url.removeprefix("sqlite:///")
    return path if path and path != url else None


def sqlite_url(path: str) -> str:
    """The URL of a file."""
    return f"sqlite:///{path}"
