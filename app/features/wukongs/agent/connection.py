"""One connection to the service, for one thread. It is opened when it is needed, and reopened when it was lost."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .backoff import parse_retry_after
from .errors import AwayError, RefusedError

_REQUEST_SECONDS = 10.0
# The service sends a heartbeat each 15 s. With a longer heartbeat the agent only reconnects, and resumes, more often.
_STREAM_SECONDS = 60.0
_MAX_ANSWER_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 20
_BUSY = frozenset({408, 425, 429})
# Errors of a kept-alive connection that the service has closed meanwhile.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_FAILED = (OSError, http.client.HTTPException)


class Address(NamedTuple):
    """The address of the service."""

    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``http(s)://host[:port][/prefix]``.

        Raises:
            ValueError: The text is not such a URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("Use the service's own URL: https://simulcast.example")
        if parts.username is not None:
            raise ValueError("No name and password in the URL: it stands in logs. Use a token")
        return cls(parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/"))


class Connection:
    """Sends requests to the service, with a token.

    Args:
        address: Address of the service.
        token: Called for each request, because a token in a file can be replaced.
    """

    def __init__(self, address: Address, token: Callable[[], str]) -> None:
        self._path = address.path
        self._token = token
        self._http = self._make(address)
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, body: object) -> Any:
        """Send JSON, and return the JSON of the answer. If a kept-alive connection turns out to be closed, send once more at
        once: a request may be sent twice.

        Raises:
            AwayError, RefusedError: The request was not carried out, or that is unknown.
        """
        response = self._send(method, path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            return _parsed(response.read(_MAX_ANSWER_BYTES))
        except _FAILED as error:
            raise self._lost(error) from error

    def lines(self, path: str, last_event_id: str) -> Generator[bytes, None, None]:
        """Yield the lines of a stream until it ends, without empty lines and lines of more than 1 MiB.

        Raises:
            AwayError, RefusedError: The stream was refused or cut.
        """
        headers = {"Accept": "application/x-ndjson"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        response = self._send("GET", path, None, headers)
        try:
            if self._socket is not None:
                self._socket.settimeout(_STREAM_SECONDS)
            is_rest = False
            while line := response.readline(_MAX_LINE_BYTES):
                is_whole = line.endswith(b"\n")
                if is_whole and not is_rest and line.strip():
                    yield line
                is_rest = not is_whole
        except _FAILED as error:
            raise self._lost(error) from error
        finally:
            self.close()

    def cut(self) -> None:
        """End the wait of another thread on this connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. The next request opens it again."""
        self._http.close()
        self._socket = None

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        headers = {**headers, "Authorization": f"Bearer {self._token()}", "User-Agent": "simulcast-agent"}
        is_reused = self._http.sock is not None
        try:
            response = self._once(method, path, body, headers)
        except _STALE as error:
            if not is_reused:
                raise self._lost(error) from error
            self.close()
            try:
                response = self._once(method, path, body, headers)
            except _FAILED as error:
                raise self._lost(error) from error
        except _FAILED as error:
            raise self._lost(error) from error
        if response.status != 200 and response.status != 201:
            raise self._refused(response)
        return response

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._http.sock is None:
            self._http.connect()
        # http.client drops the socket if the answer ends the connection.
        self._socket = self._http.sock
        self._http.request(method, self._path + path, body, headers)
        return self._http.getresponse()

    def _refused(self, response: http.client.HTTPResponse) -> AwayError | RefusedError:
        status = response.status
        try:
            answer = _parsed(response.read(_MAX_ANSWER_BYTES))
        except _FAILED as error:
            return self._lost(error)
        told = answer.get("error") if isinstance(answer, dict) else None
        message = told.get("message") if isinstance(told, dict) else None
        text = f"{status}: {str(message or response.reason)[:300]}"
        if status >= 500 or status in _BUSY:
            return AwayError(text, parse_retry_after(response.headers.get("Retry-After")))
        return RefusedError(text)

    def _lost(self, error: Exception) -> AwayError:
        self.close()
        return AwayError(f"The service can't be reached: {str(error) or type(error).__name__}")

    @staticmethod
    def _make(address: Address) -> http.client.HTTPConnection:
        if address.scheme == "https":
            context = ssl.create_default_context()  # SSL_CERT_FILE can name a private authority
            return http.client.HTTPSConnection(address.host, address.port, timeout=_REQUEST_SECONDS, context=context)
        return http.client.HTTPConnection(address.host, address.port, timeout=_REQUEST_SECONDS)


def _parsed(body: bytes) -> Any:
    """Return the JSON of a body; None if it is not JSON, such as a proxy's page."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
