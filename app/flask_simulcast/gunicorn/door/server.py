"""Door: the server of one listening socket. It reads what a connection says, and decides where it goes.

A connection waits here without a greenlet. A hot request goes to the desk, which answers it. Everything else is handed to
gunicorn, with all bytes that were read; gunicorn gives the connection back after its answer, if it stays open.

It holds a place of gunicorn's pool all the time, so ``worker_connections`` and the end of a worker mean what they always mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer

from .client import Client, accepted
from .connection import Connection
from .desk import Asked, Desk
from .environ import Environs
from .head import MOST_BYTES, Limits, parse

_READ = 1
_SWEEP_SECONDS = 0.25
# A body that has not come within this time after its head is gunicorn's and Flask's to wait for, with their own deadlines.
_BODY_SECONDS = 1.0
# Bytes of such bodies that are held here.
_MOST_HELD_BYTES = 8 << 20


class Places(Pool):
    """gunicorn's pool, which counts the connections at the door, too."""

    at_door = 0

    def free_count(self) -> int:
        """Return the number of connections that can still be accepted."""
        return max(int(super().free_count()) - self.at_door, 0)

    @property
    def can_spawn(self) -> bool:
        """Whether a greenlet can be spawned without waiting."""
        return super().free_count() > 0


class Address:
    """A listening socket as gunicorn knows it in a connection: by its name. The socket itself may be closed by then.

    Args:
        listening: The socket.
    """

    def __init__(self, listening: Any) -> None:
        self._name = listening.getsockname()

    def getsockname(self) -> Any:
        """Return where it listens."""
        return self._name


class Door(StreamServer):
    """gunicorn's server for one listening socket, as its gevent worker makes it.

    Args:
        listening: The socket.
        worker: gunicorn's worker.
        desk: Answers hot requests.
        spawn: The pool that gunicorn has made, for its size.
        others: What gunicorn gives to servers that do not use its own handler.
    """

    _start_accepting_if_started: Callable[[], None]

    def __init__(self, listening: Any, *, worker: Any, desk: Desk, spawn: Pool, **others: Any) -> None:
        self._places = Places(spawn.size)
        address = Address(listening)
        super().__init__(listening, handle=partial(worker.handle, address), spawn=self._places)
        self._of_gunicorn = self.handle  # the server forgets it when it closes, before its last connections have ended
        if worker.cfg.workers > 1:
            self.max_accept = 1  # as gunicorn does it
        self._desk = desk
        self._environs = Environs(worker.cfg, address.getsockname())
        self._limits = Limits.of(worker.cfg)
        self._keepalive = worker.cfg.keepalive
        self._connections: dict[Connection, None] = {}  # the one that has waited longest first
        self._held_bytes = 0
        self._sweeping = self.loop.timer(_SWEEP_SECONDS, _SWEEP_SECONDS, ref=False)
        self._sweeping.start(self._sweep)

    # From gevent's server. Called from the loop: nothing here switches

    def do_read(self) -> Any:
        """Accept a connection."""
        return accepted(self.socket)

    def do_handle(self, client: Any, address: Any) -> None:
        """Take on a connection that was accepted."""
        self.take(client, address)

    # Connections that come and go

    def take(self, client: Client, address: Any) -> None:
        """Take on a connection that has no request yet."""
        client.door = self
        connection = Connection(client, address, self.loop.io(client.fileno(), _READ))
        self._places.at_door += 1
        self._waits(connection)
        connection.watch(self._read)

    def _waits(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._connections[connection] = None
        connection.since = time.monotonic()

    def leave(self, connection: Connection) -> None:
        """Forget a connection, and give its place back. Its socket is the caller's."""
        if self._connections.pop(connection, connection) is None:
            connection.unwatch()
            self._held_bytes -= len(connection.data)
            self._places.at_door -= 1
            self._start_accepting_if_started()

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self.leave(connection)
        connection.client.close()

    def hand_over(self, connection: Connection) -> None:
        """Give a connection to gunicorn, as if nothing had been read from it."""
        if (
            not self._places.can_spawn
        ):  # one that has just come back still has its place there, for this turn of the loop
            connection.pause()
            self.loop.run_callback(self.hand_over, connection)
            return
        client = connection.client
        client.unread(connection.data)
        self.leave(connection)
        self._places.spawn(self._handle_as_gunicorn, client, connection.address)

    def _handle_as_gunicorn(self, client: Client, address: Any) -> None:
        try:
            self._of_gunicorn(client, address)
        finally:
            client.close()

    # What a connection says

    def _read(self, connection: Connection) -> None:
        if connection.is_busy:
            connection.pause()  # its next request has to wait
            return
        try:
            piece = connection.client.read_now(MOST_BYTES)
        except OSError:
            self.drop(connection)
            return
        if piece is None:
            return
        if not piece and not connection.data:
            self.drop(connection)
            return
        self._held_bytes += len(piece)
        connection.data += piece
        self.look(connection, is_over=not piece)

    def look(self, connection: Connection, *, is_over: bool = False) -> None:
        """Decide about what a connection has said: to the desk, to gunicorn, or wait for the rest of a body.

        A connection that begins with the preface of HTTP/2 is decided here, too: today it is gunicorn's.

        Args:
            is_over: Whether the client has ended its side.
        """
        head = connection.head or parse(connection.data, self._limits)
        if head is None or is_over or not self._desk.is_for(head):
            self.hand_over(connection)
            return
        size = head.size + head.length
        if len(connection.data) < size:
            connection.head = head
            if self._held_bytes > _MOST_HELD_BYTES:
                self.hand_over(connection)
            return
        body = connection.data[head.size : size]
        environ = self._environs.of(head, body, connection.address)
        if environ is None:
            self.hand_over(connection)
            return
        connection.begin(head)
        self._desk.put(Asked(self, connection, head, environ, body))

    def ready(self, connection: Connection) -> None:
        """Go on with a connection whose request was answered."""
        assert connection.head is not None
        size = connection.head.size + connection.head.length
        self._held_bytes -= size
        connection.data = connection.data[size:]
        connection.end()
        self._waits(connection)
        if connection.data:
            self.look(connection)
        else:
            connection.watch(self._read)

    def _sweep(self) -> None:
        """Close connections that have been silent for the time of ``keepalive``; hand over those whose body is slow."""
        now = time.monotonic()
        for connection in list(self._connections):
            waited = now - connection.since
            if waited < min(self._keepalive, _BODY_SECONDS):
                break
            if connection.is_busy:
                continue
            if connection.data:
                self.hand_over(connection)
            elif waited >= self._keepalive:
                self._read(connection)  # on a busy machine it may have said something that was not read yet
                was_answered = connection.since >= now  # its handler did not wait
                if connection in self._connections and not (connection.data or was_answered):
                    self.drop(connection)
        if self.closed and not self._connections:
            self._sweeping.stop()
