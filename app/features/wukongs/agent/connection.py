"""One connection to the service, for one thread; opened when it is needed, and again when it was lost."""

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
# The service says something each 15 s. One that has a longer heartbeat sees us reconnect, and resume, more often.
_STREAM_SECONDS = 60.0
_MAX_ANSWER_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 20
_BUSY = frozenset({408, 425, 429})
# What a kept-alive connection ends with that the service has closed meanwhile.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_FAILED = (OSError, http.client.HTTPException)


class Address(NamedTuple):
    """Where the service is."""

    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``http(s)://host[:port][/prefix]``.

        Raises:
            ValueError: It is something else.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("Use the service's own URL: https://simulcast.example")
        if parts.username is not None:
            raise ValueError("No name and password in the URL: it stands in logs. Use a token")
        return cls(parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/"))


class Connection:
    """Asks the service, with a token.

    Args:
        address: Of the service.
        token: Called for each request: a token in a file may have been replaced.
    """

    def __init__(self, address: Address, token: Callable[[], str]) -> None:
        self._path = address.path
        self._token = token
        self._http = self._make(address)
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, body: object) -> Any:
        """Send JSON, and get the answer's. A connection that has gone stale is tried once more, at once: what is sent here
        may be sent twice.

        Raises:
            AwayError, RefusedError: It was not done, or its outcome is unknown.
        """
        response = self._send(method, path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            return _parsed(response.read(_MAX_ANSWER_BYTES))
        except _FAILED as error:
            raise self._lost(error) from error

    def lines(self, path: str, last_event_id: str) -> Generator[bytes, None, None]:
        """The lines of a stream, until it ends; empty ones and those of more than 1 MiB are left out.

        Raises:
            AwayError, RefusedError: There is none, or it was cut.
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
        """Have another thread's wait on this connection end."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go; the next request opens it again."""
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
        # http.client forgets it where the answer ends the connection.
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
            context = ssl.create_default_context()  # SSL_CERT_FILE names an authority of one's own
            return http.client.HTTPSConnection(address.host, address.port, timeout=_REQUEST_SECONDS, context=context)
        return http.client.HTTPConnection(address.host, address.port, timeout=_REQUEST_SECONDS)


def _parsed(body: bytes) -> Any:
    """None for what is no JSON: a proxy's page, say."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
