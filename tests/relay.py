"""A TCP relay between a client and a server, for tests: it can cut what goes through, and go on to another server."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress


class Relay:
    """Listens on a port of its own. Use as a context manager.

    Args:
        target: The port of the server behind it.

    Attributes:
        port: Its own.
        target: May be set to another one; holds for new connections.
        accepted: How many connections have come.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self._is_open = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._mutex = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.block()

    def block(self) -> None:
        """Cut all connections, by RST, and let nobody through."""
        with self._mutex:
            self._is_open = False
            pairs, self._pairs = self._pairs, []
        for client, server in pairs:
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def open(self) -> None:
        """Let through again."""
        with self._mutex:
            self._is_open = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            server.settimeout(None)
        except OSError:
            client.close()
            return
        with self._mutex:
            is_open = self._is_open
            if is_open:
                self._pairs.append((client, server))
        if not is_open:
            client.close()
            server.close()
            return
        threading.Thread(target=_copy, args=(client, server), daemon=True).start()
        _copy(server, client)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    except OSError:
        pass
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
