"""Tell the other workers that the log has grown: one datagram to each, through a folder of sockets.

A ring is a hint to read. It carries the names of the channels that have grown, so that a worker without a listener on them
does not read at once, and no data. Sending never waits: a frozen worker whose socket is full must not stall a publisher. A
lost hint costs the reader one slow poll.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from gevent import monkey
from gevent import select as waiting

# A sun_path holds 108 bytes, and a project's folder might have a longer path. The path through the open folder is short.
_SELF_FD = "/proc/self/fd"
_TICK_NS = 50_000_000
_GONE = (errno.ECONNREFUSED, errno.ENOENT)
# A ring that names no channel: any may have grown. Longer lists of names are such a ring, too: what frozen workers don't read
# counts against the sender's buffer.
_ANY = b"!"
_MOST_BYTES = 256
_QUEUE_LENGTH = Path("/proc/sys/net/unix/max_dgram_qlen")
# No greenlet waits on this object; and the garbage collector might close it in any thread, which a patched socket forbids.
_socket = monkey.get_original("socket", "socket")


class Doorbell:
    """The bell of this process, and the bells of the other processes in the same folder.

    When the object is collected, it removes its bell and closes its descriptors.

    Args:
        folder: The folder of sockets. A missing folder is made, for this user only.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._prefix = f"{_SELF_FD}/{self._folder}" if os.path.isdir(_SELF_FD) else folder
        self._socket = _socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._room = _queue_length()
        self._senders = [_sender()]  # one
        self._names: list[str] = []  # one name, once this process listens
        self._take_down = weakref.finalize(
            self, _take_down, self._folder, self._socket, self._senders, self._names, os.getpid()
        )
        self._take_down.atexit = False
        self._others: list[str] = []
        self._listed_at = -1

    def listen(self) -> None:
        """Bind this process's bell: from now on `wait` returns when another process rings."""
        if not self._names:
            name = f"{os.getpid()}-{token_hex(4)}"
            self._socket.bind(f"{self._prefix}/{name}")
            self._names.append(name)
            self._listed_at = -1

    def ring(self, channels: Iterable[str] = (), *, everybody: bool = False) -> None:
        """Ring the bells of all other processes. Never blocks, switches or fails.

        Args:
            channels: Names of the channels that have grown; empty if any may have.
            everybody: Whether to ring this process's own bell, too.
        """
        changed_at = os.fstat(self._folder).st_mtime_ns
        if changed_at != self._listed_at:
            self._others = [name for name in os.listdir(self._folder) if name not in self._names]
            # The modification time is as coarse as the kernel's tick, so two changes in a row might show the same time.
            self._listed_at = changed_at if time.time_ns() - changed_at > _TICK_NS else -1
        names = [*self._others, *self._names] if everybody else self._others
        hint = _hint(channels) if names else _ANY
        for name in names:
            try:
                self._send(hint, f"{self._prefix}/{name}")
            except OSError as error:
                if (
                    error.errno in _GONE
                ):  # its process was killed; with another error its socket is full, a hint already
                    with suppress(OSError):
                        os.unlink(name, dir_fd=self._folder)

    def _send(self, hint: bytes, address: str) -> None:
        """Send one ring. Rings that neighbours do not read, because they are frozen or have no listener, fill the buffer of the
        socket that has sent them: then another socket sends on, or a neighbour that waits would not be rung either."""
        sender = self._senders[0]
        try:
            sender.sendto(hint, socket.MSG_DONTWAIT, address)
        except OSError as error:
            if error.errno in _GONE or not _is_full(sender):
                raise
            self._senders[0] = _sender()
            sender.close()
            self._senders[0].sendto(hint, socket.MSG_DONTWAIT, address)

    def wait(self, seconds: float) -> set[str] | None:
        """Return when another process rings, or after ``seconds``. If one has rung since the last call, return at once.
        May switch.

        Returns:
            The channels that have grown; None if any may have: that is so after ``seconds``, too, because a ring can be lost.
        """
        self.listen()
        hints = self._take_hints()
        if not hints:  # `select` takes 80 µs
            with suppress(OSError):  # the socket is closed, because the folder was replaced
                waiting.select([self._socket], [], [], seconds)
            hints = self._take_hints()
        if not hints or len(hints) > self._room or _ANY in hints:
            return None
        return set(b"\n".join(hints).decode().split("\n"))

    @property
    def is_listening(self) -> bool:
        """Whether rings are heard."""
        return bool(self._names)

    @property
    def has_rung(self) -> bool:
        """Whether a ring has come that `wait` has not taken yet, or none would be heard."""
        try:
            return not self._names or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
        except OSError:  # closed, because the folder was replaced
            return True

    def _take_hints(self) -> list[bytes]:
        """Read all hints that have come."""
        hints = []
        with suppress(OSError):
            while hint := self._socket.recv(_MOST_BYTES, socket.MSG_DONTWAIT):
                hints.append(hint)
        return hints

    def close(self) -> None:
        """Remove this process's bell."""
        self._take_down()


def _hint(channels: Iterable[str]) -> bytes:
    """Return a ring that names channels. No name has a line end in it."""
    hint = "\n".join(set(channels)).encode()
    return hint if 0 < len(hint) <= _MOST_BYTES else _ANY


def _queue_length() -> int:
    """Return the number of rings that certainly fit into a bell. If more have come, some may have been lost. Linux counts rings,
    other systems count bytes: there none is certain."""
    try:
        return int(_QUEUE_LENGTH.read_text())
    except (OSError, ValueError):
        return 0


def _sender() -> socket.socket:
    sender: socket.socket = _socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender


def _is_full(sender: socket.socket) -> bool:
    """Tell whether the buffer of a socket that could not send is full; if not, the receiver's queue is. Linux says that."""
    try:
        (unread,) = struct.unpack("i", fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return False
    return bool(unread >= sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))


def _take_down(folder: int, own: socket.socket, senders: list[socket.socket], names: list[str], pid: int) -> None:
    """Remove the bell and close its descriptors. Never switches. In a forked child the bell belongs to the parent, and
    stays."""
    if pid == os.getpid():
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    own.close()
    senders[0].close()
    os.close(folder)
