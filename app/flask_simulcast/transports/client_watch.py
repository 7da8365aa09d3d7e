"""Notices at once that a client has left, not at the next write.

A generator that waits for its next event sees nothing of its client; after a FIN it takes two writes to notice. So the kernel is
asked to tell: by epoll, which tells the end of what a client sends (FIN, RST, a half-close) apart from bytes that nobody reads:
a body, a line end after the request, a pipelined request. Measured: 1 ms after FIN or RST when the worker has nothing else to do.

Where there is no epoll (macOS, the BSDs) the socket is watched for reading, and peeked at: there bytes that nobody reads hide
that a client left, and so does TLS.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub, monkey
from gevent.event import Event as Flag
from gevent.hub import Hub

from ..loop import is_patched

_READ = 1
# What came in one turn of the loop; the rest is told in the next one, after everybody else had theirs.
_CLIENTS_A_TURN = 64


class ClientWatch:
    """One client that is watched. Make it by `watch_client`.

    Attributes:
        fd: Of the client's socket.
        on_gone: Called when the client has left.
    """

    __slots__ = ("_lookout", "fd", "on_gone")

    def __init__(self, lookout: Lookout, fd: int, on_gone: Callable[[], object]) -> None:
        self.fd = fd
        self.on_gone = on_gone
        self._lookout = lookout
        lookout.add(self)

    def stop(self) -> None:
        """Watch no more. May be called twice, and after the server has closed the socket."""
        self._lookout.remove(self)


class Lookout:
    """All watched clients of one event loop: one epoll, of whose descriptor the loop has one watcher.

    Args:
        loop: Of gevent.
    """

    def __init__(self, loop: Any) -> None:
        self._pid = os.getpid()
        self._epoll = _original("epoll")()
        self._watches: dict[int, ClientWatch] = {}
        self._watcher = loop.io(self._epoll.fileno(), _READ)

    @property
    def is_ours(self) -> bool:
        """False in a child: it shares the epoll with its parent, and would take away what the parent is to be told."""
        return self._pid == os.getpid()

    def add(self, watch: ClientWatch) -> None:
        """Tell it once when its client leaves. A watch of the same descriptor is told nothing any more: its socket was closed,
        or has another request now."""
        # Edge-triggered: of a socket that a child still has open after we closed it, we are told once and not without end.
        mask = select.EPOLLRDHUP | select.EPOLLET  # EPOLLHUP and EPOLLERR are always told
        try:
            self._epoll.register(watch.fd, mask)
        except FileExistsError:
            self._epoll.modify(watch.fd, mask)
        if not self._watches:
            self._watcher.start(self._look)  # not before: it keeps a loop alive that has nothing else to wait for
        self._watches[watch.fd] = watch

    def remove(self, watch: ClientWatch) -> None:
        """Tell it nothing any more. The descriptor may be another connection's by now."""
        if not self.is_ours or self._watches.get(watch.fd) is not watch:
            return
        del self._watches[watch.fd]
        with suppress(OSError):  # closed: then the kernel has taken it out already
            self._epoll.unregister(watch.fd)
        if not self._watches:
            self._watcher.stop()

    def close(self) -> None:
        """For a child, which needs one of its own. The parent's watches stay."""
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()

    def _look(self) -> None:
        if not self.is_ours:
            self._watcher.stop()
            return
        for fd, _ in self._epoll.poll(0, _CLIENTS_A_TURN):
            watch = self._watches.get(fd)
            if watch is not None and _has_left(fd):
                self.remove(watch)
                watch.on_gone()


class PeekWatch:
    """The same without epoll.

    Args:
        client: A gevent socket without TLS.
        on_gone: As of `watch_client`.
    """

    __slots__ = ("_on_gone", "_socket", "_watcher")

    def __init__(self, client: Any, on_gone: Callable[[], object]) -> None:
        self._socket: socket.socket = client._sock  # the plain socket below gevent's: a peek must not wait
        self._on_gone = on_gone
        self._watcher = get_hub().loop.io(client.fileno(), _READ)
        self._watcher.start(self._look)

    def _look(self) -> None:
        try:
            is_gone = not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            is_gone = True
        # With bytes there (a client that pipelines) a level-triggered watcher would fire without end.
        self._watcher.stop()
        if is_gone:
            self._on_gone()

    def stop(self) -> None:
        """Watch no more. May be called twice."""
        self._watcher.stop()
        self._watcher.close()


def watch_client(client: Any, on_gone: Callable[[], object]) -> ClientWatch | PeekWatch | None:
    """Watch a WSGI server's client.

    Args:
        client: A gevent socket; the server keeps owning it.
        on_gone: Called from the loop, once, when the client has left. Must not switch or raise.

    Returns:
        Stop it on every path. None for a TLS socket where there is no epoll: there a heartbeat that can't be written tells.
    """
    if HAS_EPOLL:
        return ClientWatch(_lookout(), client.fileno(), on_gone)
    return None if hasattr(client, "_sslobj") else PeekWatch(client, on_gone)


@contextmanager
def client_gone(environ: dict[str, Any]) -> Iterator[Flag]:
    """A flag that is set when the client of a request leaves; never where that can't be seen."""
    gone = Flag()
    client = environ.get("gunicorn.socket")
    watch = watch_client(client, gone.set) if hasattr(client, "_sock") and is_patched() else None
    try:
        yield gone
    finally:
        if watch is not None:
            watch.stop()


def _original(name: str) -> Any:
    """Of the module `select`: gevent takes these away, for they can't wait under it. Here they never wait."""
    return monkey.get_original("select", name)


def _has_epoll() -> bool:
    try:
        return _original("epoll") is not None
    except AttributeError:
        return False


HAS_EPOLL = _has_epoll()
_lookouts: WeakKeyDictionary[Hub, Lookout] = WeakKeyDictionary()


def _lookout() -> Lookout:
    """Of this thread's loop, in this process."""
    hub = get_hub()
    lookout = _lookouts.get(hub)
    if lookout is not None and not lookout.is_ours:
        lookout.close()
        lookout = None
    if lookout is None:
        lookout = _lookouts[hub] = Lookout(hub.loop)
    return lookout


def _has_left(fd: int) -> bool:
    """What epoll told may be of a socket that we closed, whose number is another one's now."""
    poll = _original("poll")()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))
