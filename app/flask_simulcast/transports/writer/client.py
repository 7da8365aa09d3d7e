"""The client of a writer: send bytes to it, and notice when it leaves or stops reading."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from gevent import get_hub, getcurrent

from ...errors import ListenerGoneError
from ...loop import Breather, is_patched
from ...loop_thread import in_loop
from ..client_socket import cut, socket_of
from ..client_watch import ClientWatch, PeekWatch, watch_client
from .start_response import Write

# Size of one HTTP chunk. The server copies it, and `stall_seconds` is the time limit for one piece, not for a whole event.
_PIECE_BYTES = 64 << 10
# Bytes that may wait in the kernel besides those in flight. Without this limit the buffer grows to 4 MB, and a writer wakes
# only when a third of it is free: a client that reads 20 KB/s would look stuck. SO_SNDBUF would work too, but it also bounds
# the bytes in flight, and so the speed of an export over a long line.
_UNSENT_BYTES = 64 << 10
# A fast client never makes a writer wait, so without pauses an export would keep the loop to itself.
_BREATHE_SECONDS = 0.005


class ClientLeft(BaseException):
    """Thrown into a view that waits for something else when its client leaves.

    Like ``gevent.Timeout``, it is not an `Exception`: the code in which the view waits would take an `Exception`
    for an error of its own. urllib3 took a thrown `ConnectionError` for a broken upstream and sent the request
    again; SQLAlchemy would give a connection back to its pool in the middle of a query.
    """


class Client:
    """The client of one request. It belongs to the view's greenlet, which calls `watch`.

    Args:
        environ: The WSGI environ of the request.
        stall_seconds: Seconds in which the client must take a piece of 64 KiB; a slower client is cut off.

    Attributes:
        is_gone: True once the client has left, or was cut off.
        has_server: False for a test client, to which nothing can be sent beside the view.
    """

    def __init__(self, environ: dict[str, Any], stall_seconds: float) -> None:
        self.has_server = "SERVER_SOFTWARE" in environ
        self._client = socket_of(environ)
        self._socket: Any = environ.get("gunicorn.socket") or self._client
        self._stall_seconds = stall_seconds if self._socket is not None else None
        self._watch: ClientWatch | PeekWatch | None = None
        self._greenlet: Any = None  # the greenlet to throw into; None when nothing must be thrown
        self._breather = Breather(_BREATHE_SECONDS) if is_patched() else None
        self.is_gone = False

    def watch(self) -> None:
        """Watch the client. When it leaves, the next write fails; in a patched process `ClientLeft` is also thrown, once, into
        the calling greenlet."""
        self._greenlet = getcurrent() if is_patched() else None
        if self._stall_seconds is not None:
            with suppress(OSError, AttributeError):  # a unix socket, or a system without this option
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
            if not is_patched():
                self._socket.settimeout(self._stall_seconds)
        if self._client is not None:
            self._watch = in_loop(watch_client, self._client, self._leave)

    def stop(self) -> None:
        """Stop watching. Nothing is thrown after this, even if it was scheduled before."""
        self._greenlet = None
        watch, self._watch = self._watch, None
        if watch is not None:
            in_loop(watch.stop)

    def send(self, write: Write, data: bytes) -> None:
        """Write, and return when the socket has taken the bytes: a view is never faster than its client. Switches.

        Raises:
            ListenerGoneError: The client is gone.
        """
        for start in range(0, len(data), _PIECE_BYTES):
            self.check()
            self._send_piece(write, data[start : start + _PIECE_BYTES])
        if self._breather is not None:
            self._breather.breathe()

    def check(self) -> None:
        """Check that the client is still there.

        Raises:
            ListenerGoneError: The client is gone.
        """
        if self.is_gone:
            self._forget_caller()
            raise gone()

    def cut(self) -> None:
        """Break the connection, so that the client does not take a part for the whole, and a blocked write ends."""
        cut(self._socket)

    def _send_piece(self, write: Write, piece: bytes) -> None:
        seconds = self._stall_seconds if is_patched() else None  # elsewhere the socket itself has a time limit
        timer = get_hub().loop.timer(seconds) if seconds is not None else None
        try:
            if timer is not None:
                timer.start(self.cut, update=True)
            write(piece)
        except OSError as error:
            self._forget_caller()
            self._leave()
            raise gone() from error
        finally:
            if timer is not None:
                timer.close()

    def _leave(self) -> None:
        """Note that the client has left. Called from the loop, or by a greenlet that could not write. Does not switch."""
        if self.is_gone:
            return
        self.is_gone = True
        self.cut()
        if self._greenlet is not None:
            get_hub().loop.run_callback(self._tell)

    def _tell(self) -> None:
        """Throw `ClientLeft` into the view. Called from the loop, so the view is not running."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.throw(ClientLeft())

    def _forget_caller(self) -> None:
        """Throw nothing into the calling view: its own call raises now, and a second error would interrupt its clean-up."""
        if self._greenlet is getcurrent():
            self._greenlet = None


def gone() -> ListenerGoneError:
    """Make the error of a write to a client that has left."""
    return ListenerGoneError("The client left. Stop producing; the writer's with block ends quietly on this.")


def is_leaving(error: BaseException | None) -> bool:
    """Tell whether an error means that the client left, or was raised explicitly from such an error."""
    while error is not None:
        if isinstance(error, ClientLeft | ListenerGoneError):
            return True
        error = error.__cause__ if isinstance(error, Exception) else None
    return False
