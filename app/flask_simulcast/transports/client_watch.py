"""Notices at once that a client has left, not only at the next write.

A generator that waits for its next event sees nothing of its client; after a FIN it takes two writes to notice. So epoll
watches the socket. epoll distinguishes the end of the client's data (FIN, RST, a half-close) from bytes that the server does
not read: a body, a line end after the request, a pipelined request. Measured: 1 ms after FIN or RST in an otherwise idle
worker.

Without epoll (macOS, the BSDs) the socket is watched for reading, and peeked at. There unread bytes hide that a client left,
and so does TLS.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from gevent import get_hub, monkey
from gevent.event import Event
from gevent.hub import Hub

from ..loop import is_patched
from ..loop_thread import in_loop
from .client_socket import socket_of

Flag = Event | threading.Event

_READ = 1
# Clients handled in one turn of the loop. The rest wait for the next turn, so that other greenlets run in between.
_CLIENTS_A_TURN = 64


def _original(name: str) -> Any:
    """Return a function that gevent removes from `select` because it blocks the loop. Here it never waits."""
    return monkey.get_original("select", name)


def _has_epoll() -> bool:
    try:
        return _original("epoll") is not None
    except AttributeError:
        return False


HAS_EPOLL = _has_epoll()


class Watched(Protocol):
    """A descriptor that a lookout watches.

    Attributes:
        fd: The descriptor.
        mask: What is watched, as epoll's flags.
    """

    fd: int
    mask: int

    def on_event(self) -> None:
        """Called from the loop when there is something. Must not switch."""


class ClientWatch:
    """One client that is watched. Make it with `watch_client`.

    Attributes:
        fd: Descriptor of the client's socket.
        on_gone: Called when the client has left.
    """

    __slots__ = ("_lookout", "fd", "on_gone")

    # Edge-triggered: a socket that a child still has open after we closed it is reported once, not endlessly.
    mask = select.EPOLLRDHUP | select.EPOLLET if HAS_EPOLL else 0  # EPOLLHUP and EPOLLERR are always reported

    def __init__(self, lookout: Lookout, fd: int, on_gone: Callable[[], object]) -> None:
        self.fd = fd
        self.on_gone = on_gone
        self._lookout = lookout
        lookout.add(self)

    def stop(self) -> None:
        """Stop watching. May be called twice, and after the server has closed the socket."""
        self._lookout.remove(self)

    def on_event(self) -> None:
        """See whether the client has left."""
        if _has_left(self.fd):
            self.stop()
            self.on_gone()


class Lookout:
    """All watched descriptors of one event loop. They share one epoll, and the loop watches its descriptor.

    Args:
        loop: The gevent loop.
    """

    def __init__(self, loop: Any) -> None:
        self._pid = os.getpid()
        self._epoll = _original("epoll")()
        self._watches: dict[int, Watched] = {}
        self._watcher = loop.io(self._epoll.fileno(), _READ)

    @property
    def is_ours(self) -> bool:
        """Whether this process made it. A child shares the epoll with its parent, and would take reports away from it."""
        return self._pid == os.getpid()

    def add(self, watch: Watched) -> None:
        """Call a watch when there is something. It replaces an earlier watch of the same descriptor, whose socket was
        closed or has another request now."""
        try:
            self._epoll.register(watch.fd, watch.mask)
        except FileExistsError:
            self._epoll.modify(watch.fd, watch.mask)
        if not self._watches:
            self._watcher.start(self._look)  # not earlier: it keeps a loop alive that has nothing else to wait for
        self._watches[watch.fd] = watch

    def remove(self, watch: Watched) -> None:
        """Stop calling a watch. Its descriptor may belong to another connection by now."""
        if not self.is_ours or self._watches.get(watch.fd) is not watch:
            return
        del self._watches[watch.fd]
        with suppress(OSError):  # closed: the kernel has removed it already
            self._epoll.unregister(watch.fd)
        if not self._watches:
            self._watcher.stop()

    def close(self) -> None:
        """Close it in a child, which needs a lookout of its own. The parent's watches stay."""
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()

    def _look(self) -> None:
        if not self.is_ours:
            self._watcher.stop()
            return
        for fd, _ in self._epoll.poll(0, _CLIENTS_A_TURN):
            watch = self._watches.get(fd)
            if watch is None:
                continue
            try:
                watch.on_event()
            except Exception:  # the others must still be told: an edge is reported once
                get_hub().handle_error(watch, *sys.exc_info())


class PeekWatch:
    """One client that is watched without epoll.

    Args:
        client: A gevent socket without TLS.
        on_gone: As in `watch_client`.
    """

    __slots__ = ("_socket", "_watcher", "on_gone")

    def __init__(self, client: Any, on_gone: Callable[[], object]) -> None:
        self._socket: socket.socket = getattr(
            client, "_sock", client
        )  # if it is gevent's, the plain one: a peek must not wait
        self.on_gone = on_gone
        self._watcher = get_hub().loop.io(client.fileno(), _READ)
        self._watcher.start(self._look)

    def _look(self) -> None:
        try:
            is_gone = not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            is_gone = True
        # With unread bytes (a client that pipelines) a level-triggered watcher would fire endlessly.
        self._watcher.stop()
        if is_gone:
            self.on_gone()

    def stop(self) -> None:
        """Stop watching. May be called twice."""
        self._watcher.stop()
        self._watcher.close()


Watch = ClientWatch | PeekWatch


def watch_client(client: Any, on_gone: Callable[[], object]) -> Watch | None:
    """Watch a WSGI server's client.

    Args:
        client: A socket. The server still owns it.
        on_gone: Called from the loop, once, when the client has left. Must not switch or raise.

    Returns:
        The watch; stop it on every path. None for a TLS socket without epoll: there only a failed heartbeat shows that the
        client left.
    """
    if hasattr(client, "watch"):  # it shares a connection, and is told of its end
        watch: Watch = client.watch(on_gone)
        return watch
    if HAS_EPOLL:
        return ClientWatch(lookout(), client.fileno(), on_gone)
    return None if hasattr(client, "_sslobj") else PeekWatch(client, on_gone)


@contextmanager
def client_gone(environ: dict[str, Any]) -> Iterator[Flag]:
    """Yield a flag that is set when the client of a request leaves. It is never set where that can't be seen."""
    gone: Flag = Event() if is_patched() else threading.Event()  # a flag of gevent belongs to one thread
    client = socket_of(environ)
    watch = in_loop(watch_client, client, gone.set) if client is not None else None
    try:
        yield gone
    finally:
        if watch is not None:
            in_loop(watch.stop)


_lookouts: WeakKeyDictionary[Hub, Lookout] = WeakKeyDictionary()


def lookout() -> Lookout:
    """Return the lookout of this thread's loop, in this process."""
    hub = get_hub()
    found = _lookouts.get(hub)
    if found is not None and not found.is_ours:
        found.close()
        found = None
    if found is None:
        found = _lookouts[hub] = Lookout(hub.loop)
    return found


def _has_left(fd: int) -> bool:
    """Tell whether the client has left. epoll may report a socket that we closed, whose number another one has now."""
    poll = _original("poll")()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))
