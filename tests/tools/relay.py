"""TCP relays between a client and a server, for tests: they can cut what goes through, and go on to another server."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
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
        """Cut all connections, by RST, and let no client through."""
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
            for end in (client, server):  # hand on what comes as it comes
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        there = threading.Thread(target=_copy, args=(client, server), daemon=True)
        there.start()
        self._copy_back(server, client)
        there.join()
        with self._mutex:
            if (client, server) in self._pairs:  # else it was blocked, and is closed
                self._pairs.remove((client, server))
                client.close()
                server.close()

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        """What the server sends, until one of them ends it."""
        _copy(server, client)


class CuttingRelay(Relay):
    """Cuts each connection at some byte of what the server sends: in its head, between two chunks, within a character.

    Args:
        target: The port of the server behind it.
        chance: Its dice.
        most_bytes: Largest number of bytes that get through.
        fewest_bytes: Smallest number.

    Attributes:
        cuts: How many connections it has cut.
        is_cutting: While it is not set, new connections are not cut.
    """

    is_cutting = True

    def __init__(self, target: int, chance: random.Random, most_bytes: int, fewest_bytes: int = 1) -> None:
        super().__init__(target)
        self._chance = chance
        self._bytes = fewest_bytes, most_bytes
        self.cuts = 0

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        if not self.is_cutting:
            return super()._copy_back(server, client)
        left = self._chance.randint(*self._bytes)
        with suppress(OSError):
            while left and (piece := server.recv(min(left, 1 << 16))):
                client.sendall(piece)
                left -= len(piece)
        self.cuts += not left
        return _end(server, client)


class StallingRelay(Relay):
    """Loses all that the server sends to a connection while `is_stalled` is set, and after it: a path that died silently."""

    is_stalled = False

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        is_dead = False
        with suppress(OSError):
            while piece := server.recv(1 << 16):
                is_dead |= self.is_stalled
                if not is_dead:
                    client.sendall(piece)
        _end(server, client)


class ForgetfulRelay(Relay):
    """Hands each request on, and drops some of the answers: it closes the connection instead. HTTP with a Content-Length.

    Args:
        target: The port of the server behind it.
        chance: Its dice.
        share: Of the answers that get lost.

    Attributes:
        answers: How many answers the server has given.
        dropped: How many of them got lost.
    """

    def __init__(self, target: int, chance: random.Random, share: float) -> None:
        super().__init__(target)
        self._chance = chance
        self._share = share
        self.answers = self.dropped = 0

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            for answer in _answers(server):
                self.answers += 1
                if self._chance.random() < self._share:
                    self.dropped += 1
                    break
                client.sendall(answer)
        _end(server, client)


def _answers(server: socket.socket) -> Iterator[bytes]:
    """Whole responses, one after the other."""
    text = b""
    while True:
        head, separator, body = text.partition(b"\r\n\r\n")
        if separator:
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields[b"content-length"])
            if len(body) >= length:
                whole = len(head) + 4 + length
                yield text[:whole]
                text = text[whole:]
                continue
        piece = server.recv(1 << 16)
        if not piece:
            return
        text += piece


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    except OSError:
        pass
    _end(source, sink)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
