"""Address: a server's URL, and what is asked for there. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

#: Where the service has its routes, below its own URL.
API = "/api/v1"
_MOST_OF_A_LABEL = 63  # RFC 1035, 2.3.4: the resolver takes no longer one


class Address(NamedTuple):
    """A server, or one route of it."""

    is_https: bool
    host: str
    port: int | None
    path: str
    query: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``http(s)://host[:port][/path][?query]``.

        Raises:
            ValueError: The text is not such a URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ValueError("This is no URL of a server. Use one like https://simulcast.example")
        if parts.username is not None:
            raise ValueError("A URL must not have a name and a password: it stands in logs. Use a token")
        if not url.isascii() or any(character <= " " for character in url):
            raise ValueError("A URL has ASCII characters alone, and no spaces. Encode the others by %")
        if not all(1 <= len(label) <= _MOST_OF_A_LABEL for label in parts.hostname.removesuffix(".").split(".")):
            raise ValueError("A part of the server's name is empty or longer than 63 characters. Check the URL")
        return cls(parts.scheme == "https", parts.hostname, parts.port, parts.path.rstrip("/"), parts.query)

    def of(self, path: str, **query: object) -> str:
        """Return the target of a request below this URL. A query of the URL itself stays."""
        queries = [self.query, urlencode(query, doseq=True)]
        return (self.path + path or "/") + ("?" + "&".join(filter(None, queries)) if any(queries) else "")

    def stream(self, channels: tuple[str, ...], replay: int) -> str:
        """Return the target of a stream: the service's route if channels are named, else this URL itself."""
        if not channels:
            return self.of("")
        return self.of(f"{API}/stream", channel=channels, **({"replay": replay} if replay else {}))
