"""Sources of usage for tests: one HTTP server whose paths behave well or badly, and that knows who asks."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

PIECE = b"[" + b" " * (64 << 10)


class Sources(ThreadingHTTPServer):
    """Serves `records` at ``/list``, and what no client wants elsewhere.

    Attributes:
        records: The list.
        polls: For each poll of the list, the pid of the process that asked.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.records: list[dict[str, Any]] = []
        self.polls: list[int] = []
        self.is_over = threading.Event()

    def url(self, path: str) -> str:
        """The address of a source."""
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def asker(self, port: int) -> int:
        """The pid of the process that has this end of a connection. Another connection may have the same port, elsewhere."""
        for connection in psutil.net_connections("tcp4"):
            ends = connection.laddr, connection.raddr
            if ends == (("127.0.0.1", port), self.server_address) and connection.pid:
                return int(connection.pid)
        return 0


class _Handler(BaseHTTPRequestHandler):
    server: Sources

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            getattr(self, f"_{self.path[1:]}")()

    def _list(self) -> None:
        self.server.polls.append(self.server.asker(self.client_address[1]))
        self._answer(json.dumps(self.server.records).encode())

    def _html(self) -> None:
        self._answer(b"<html>Sign in, please</html>")

    def _broken(self) -> None:
        self._answer(b"[]", 500)

    def _odd(self) -> None:
        self.send_response(500, "a\0b")
        self.end_headers()

    def _nothing(self) -> None:
        self.server.is_over.wait(30)

    def _endless(self) -> None:
        self._head(200)
        while not self.server.is_over.is_set():
            self.wfile.write(PIECE)

    def _wrong(self) -> None:
        self._answer(b'[{"creditsUsed": -1, "model": "x", "createdAt": "2026-01-02T03:04:05Z"}]')

    def _answer(self, body: bytes, status: int = 200) -> None:
        self._head(status)
        self.wfile.write(body)

    def _head(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def serve_sources() -> Iterator[Sources]:
    """Start the server, and stop it at the end."""
    with Sources() as sources:
        thread = threading.Thread(target=sources.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield sources
        finally:
            sources.is_over.set()
            sources.shutdown()
            thread.join()
