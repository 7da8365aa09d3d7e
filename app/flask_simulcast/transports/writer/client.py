"""The connection that a writer sends on: how bytes get out, and how it is noticed that nobody takes them any more."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from gevent import get_hub, getcurrent

from ...errors import ListenerGoneError
from ...loop import Breather, is_patched
from ..client_socket import cut, socket_of
from ..client_watch import ClientWatch, PeekWatch, watch_client
from .start_response import Write

# One HTTP chunk: the server copies it, and `stall_seconds` is the time for so much, not for a whole event.
_PIECE_BYTES = 64 << 10
# What may wait in the kernel beyond what is on its way to the client. Without it the buffer grows to 4 MB, and a writer
# is woken only when a third of that is free: one that reads 20 KB/s would look stuck. SO_SNDBUF would do as well, but
# also bound what is on its way, and with it the speed of an export over a long line.
_UNSENT_BYTES = 64 << 10
# A client that takes all at once never makes a writer wait, and an export would keep the loop to itself.
_BREATHE_SECONDS = 0.005


class ClientLeft(BaseException):
    """Thrown into a view that waits for something else while its client leaves.

    Not an `Exception`, as ``gevent.Timeout`` is none: whatever the view waits in takes an `Exception` for its
    own trouble. urllib3 took a thrown `ConnectionError` for a broken upstream and sent the request again;
    SQLAlchemy would give a connection back to its pool in the middle of a query.
    """


class Client:
    """One request's client. Belongs to the greenlet that calls `watch`, which is the view's.

    Args:
        environ: Of the request.
        stall_seconds: A client that does not take a piece of 64 KiB in this time is cut off.

    Attributes:
        is_gone: The client left, or was cut off.
    """

    def __init__(self, environ: dict[str, Any], stall_seconds: float) -> None:
        self._socket: Any = environ.get("gunicorn.socket")
        self._client = socket_of(environ) if is_patched() else None
        self._stall_seconds = stall_seconds if is_patched() and self._socket is not None else None
        self._watch: ClientWatch | PeekWatch | None = None
        self._greenlet: Any = None  # whom to tell; None when it need not be told (any more)
        self._breather = Breather(_BREATHE_SECONDS) if is_patched() else None
        self.is_gone = False

    def watch(self) -> None:
        """From now on throw `ClientLeft`, once, into this greenlet when the client leaves while it waits."""
        self._greenlet = getcurrent()
        if self._stall_seconds is not None:
            with suppress(OSError, AttributeError):  # a unix socket, a system that does not know it
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        if self._client is not None:
            self._watch = watch_client(self._client, self._leave)

    def stop(self) -> None:
        """Throw nothing any more, not even what has been scheduled already."""
        self._greenlet = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def send(self, write: Write, data: bytes) -> None:
        """Write, and return when the socket has taken it: a view is never faster than its client. Switches.

        Raises:
            ListenerGoneError: The client is gone.
        """
        for start in range(0, len(data), _PIECE_BYTES):
            self.check()
            self._send_piece(write, data[start : start + _PIECE_BYTES])
        if self._breather is not None:
            self._breather.breathe()

    def check(self) -> None:
        """Whether there is still a client.

        Raises:
            ListenerGoneError: There is none.
        """
        if self.is_gone:
            self._forget_caller()
            raise gone()

    def cut(self) -> None:
        """Break it, so that no client takes what it got for the whole, and whoever writes to it is let go."""
        cut(self._socket)

    def _send_piece(self, write: Write, piece: bytes) -> None:
        timer = get_hub().loop.timer(self._stall_seconds) if self._stall_seconds is not None else None
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
        """From the loop, or from a greenlet that could not write. Does not switch."""
        if self.is_gone:
            return
        self.is_gone = True
        self.cut()
        if self._greenlet is not None:
            get_hub().loop.run_callback(self._tell)

    def _tell(self) -> None:
        """From the loop, so the view is not the one that runs."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.throw(ClientLeft())

    def _forget_caller(self) -> None:
        """Who is told by an exception of its own call must not be told again, in the middle of its cleaning up."""
        if self._greenlet is getcurrent():
            self._greenlet = None


def gone() -> ListenerGoneError:
    """What a write to nobody raises."""
    return ListenerGoneError("The client left. Stop producing; the writer's with block ends quietly on this.")


def is_leaving(error: BaseException | None) -> bool:
    """Whether this says that the client left, or was raised explicitly from what does."""
    while error is not None:
        if isinstance(error, ClientLeft | ListenerGoneError):
            return True
        error = error.__cause__ if isinstance(error, Exception) else None
    return False
