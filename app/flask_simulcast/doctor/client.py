"""A client for looking at one URL: plain requests and streams over HTTP/1.1, and what the server sent exactly.

Not a client for applications: each request has a connection of its own, and nothing is tried again.
"""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from .answer import Answer
from .errors import BadInputError, SilentError

#: Seconds until an answer counts as not coming, and the first event of a stream.
ANSWER_SECONDS = 3.0
_MAX_REDIRECTS = 5
_HEADERS = {"Accept": "*/*;q=0.5, text/event-stream", "Accept-Encoding": "gzip", "User-Agent": "simulcast-doctor"}
_MOST_OF_A_LABEL = 63  # RFC 1035, 2.3.4: the resolver takes no longer one
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass
class Target:
    """The URL of a stream, and what a client sends with each request.

    Attributes:
        url: The URL. A redirect replaces it.
        headers: The operator's own headers, for example ``Authorization``.
        ca: File with the certificate to trust; empty for those that the system trusts.
        seconds: Seconds to wait for an answer.
        cookies: Cookies that the server has set. They are sent back, as a browser does.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    ca: str = ""
    seconds: float = ANSWER_SECONDS
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_url(self.url)

    @property
    def origin(self) -> str:
        """``scheme://host[:port]``, as a browser writes it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"

    @property
    def shown(self) -> str:
        """The URL without its query, which might have a ticket, and without a password."""
        return self.origin + urlsplit(self.url).path

    def open(
        self, *, url: str = "", query: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a GET and return the head of its answer; the body is not read yet.

        Args:
            url: Instead of the target's own.
            query: Added to the URL's query.
            headers: Added to the target's.

        Raises:
            BadInputError: The server can't be reached, or does not speak HTTP.
            SilentError: No head came.
        """
        parts = urlsplit(url or self.url)
        path = (parts.path or "/") + "?" + "&".join(filter(None, (parts.query, urlencode(query or {}))))
        connection = self.connect(url or self.url)
        sock, started = connection.sock, time.monotonic()
        try:
            connection.request("GET", path.rstrip("?"), headers=self.all_headers(headers or {}))
            response = connection.getresponse()
        except TimeoutError:
            connection.close()
            raise SilentError from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise BadInputError(f"{self.shown} gives no HTTP answer: {told(error)}.") from None
        self._keep_cookies(response)
        return Answer(connection, sock, response, started)

    def follow(self) -> Answer:
        """Open the URL, and follow redirects; the target is then the last of them.

        Raises:
            BadInputError, SilentError: As `open`; or there are too many redirects.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self.open()
            place = answer.header("Location")
            if answer.status not in _REDIRECTS or not place:
                return answer
            answer.close()
            self._go_to(urljoin(self.url, place))
        raise BadInputError(
            f"{self.shown} redirects more than {_MAX_REDIRECTS} times. Give the URL of the stream itself."
        )

    def _go_to(self, url: str) -> None:
        check_url(url)
        there, here = urlsplit(url), urlsplit(self.url)
        if there.hostname != here.hostname:  # which must not get this host's token
            raise BadInputError(f"{self.shown} redirects to another host. Give the URL there.")
        if (here.scheme, there.scheme) == ("https", "http"):  # and neither must a listener on the line
            raise BadInputError(f"{self.shown} redirects from https to http. Give the URL there.")
        self.url = url

    def connect(self, url: str) -> http.client.HTTPConnection:
        """Connect to the server of a URL.

        Raises:
            BadInputError: It can't be reached.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""  # without a port http.client takes the end of an IPv6 address for one
        port = parts.port or (http.client.HTTPS_PORT if parts.scheme == "https" else http.client.HTTP_PORT)
        if parts.scheme == "https":
            try:
                trust = ssl.create_default_context(cafile=self.ca or None)
            except OSError as error:
                raise BadInputError(f"--ca {self.ca} can't be read: {told(error)}.") from None
            connection: Any = http.client.HTTPSConnection(host, port, timeout=self.seconds, context=trust)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.seconds)
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise BadInputError(
                f"TLS with {host} fails: {told(error)}. Name its certificate by --ca, or mend it."
            ) from None
        except TimeoutError:
            raise BadInputError(f"{host} takes no connection within {self.seconds:g} s. Is the URL right?") from None
        except OSError as error:
            raise BadInputError(
                f"{host} can't be reached: {told(error)}. Is the URL right, and the server up?"
            ) from None
        return connection  # type: ignore[no-any-return]

    def all_headers(self, more: dict[str, str]) -> dict[str, str]:
        """Return the headers of a request, with these among them."""
        headers = _HEADERS | self.headers | more
        cookies = [f"{name}={value}" for name, value in self.cookies.items()]
        given = [value for name, value in headers.items() if name.lower() == "cookie"]
        if cookies or given:
            headers = {name: value for name, value in headers.items() if name.lower() != "cookie"}
            headers["Cookie"] = "; ".join(given + cookies)
        return headers

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie", []):
            try:
                self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
            except CookieError:
                continue


def check_url(url: str) -> None:
    """Check that a URL can be asked.

    Raises:
        BadInputError: It can't.
    """
    try:
        parts = urlsplit(url)
        labels = (parts.hostname or "").removesuffix(".").split(".")
        is_right = parts.scheme in ("http", "https") and all(labels) and parts.port != 0
        is_right = is_right and max(map(len, labels)) <= _MOST_OF_A_LABEL
    except ValueError:
        is_right = False
    if not is_right or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInputError(
            f"{url.partition('?')[0][:120]!a} is no URL of a stream. Use for example https://live.example/orders."
        )


def told(error: BaseException) -> str:
    """Return the text of an error, without its full stop."""
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    return text.rstrip(".")
