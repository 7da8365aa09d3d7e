"""How one worker tells the others that the log has grown: a datagram to each, through a folder of sockets.

A ring is a hint to read, never data, and it is never waited for: a frozen worker whose socket is full
must not stall a publisher. A hint that is lost costs the reader one slow poll.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
import weakref
from contextlib import suppress
from secrets import token_hex

from gevent import monkey

# A sun_path holds 108 bytes, and a project's folder may be longer. Through the open folder it is short.
_SELF_FD = "/proc/self/fd"
_TICK_NS = 50_000_000
_GONE = (errno.ECONNREFUSED, errno.ENOENT)
# Never waited for by itself; and the collector may close it in any thread, which a patched one does not allow.
_socket = monkey.get_original("socket", "socket")


class Doorbell:
    """This process's own bell, and the bells of all others in the same folder.

    One that is dropped takes its bell down and gives its descriptors back.

    Args:
        folder: Made if it is missing, for this user only.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._prefix = f"{_SELF_FD}/{self._folder}" if os.path.isdir(_SELF_FD) else folder
        self._socket = _socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._names: list[str] = []  # one, once it hangs
        self._take_down = weakref.finalize(self, _take_down, self._folder, self._socket, self._names, os.getpid())
        self._take_down.atexit = False
        self._others: list[str] = []
        self._listed_at = -1

    def listen(self) -> None:
        """Hang up a bell of one's own: from now on `wait` returns when another process rings."""
        if not self._names:
            name = f"{os.getpid()}-{token_hex(4)}"
            self._socket.bind(f"{self._prefix}/{name}")
            self._names.append(name)
            self._listed_at = -1

    def ring(self, everybody: bool = False) -> None:
        """Tell all others, and if need be this process too. Never blocks, never switches, never fails."""
        changed_at = os.fstat(self._folder).st_mtime_ns
        if changed_at != self._listed_at:
            self._others = [name for name in os.listdir(self._folder) if name not in self._names]
            # That time is as coarse as the kernel's tick: right after a change another one may show the same.
            self._listed_at = changed_at if time.time_ns() - changed_at > _TICK_NS else -1
        for name in [*self._others, *self._names] if everybody else self._others:
            try:
                self._socket.sendto(b"!", socket.MSG_DONTWAIT, f"{self._prefix}/{name}")
            except OSError as error:
                if error.errno in _GONE:  # its process was killed; otherwise it is full, and knows already
                    with suppress(OSError):
                        os.unlink(name, dir_fd=self._folder)

    def wait(self, seconds: float) -> None:
        """Return when somebody rings, or after so long. Switches in a patched process."""
        self.listen()
        with suppress(OSError):  # nothing more to read; or closed, because the folder is a new one
            select.select([self._socket], [], [], seconds)
            while True:
                self._socket.recv(16, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Take one's own bell down."""
        self._take_down()


def _take_down(folder: int, own: socket.socket, names: list[str], pid: int) -> None:
    """Never switches. In a child after a fork the bell is the parent's, and stays."""
    if pid == os.getpid():
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    own.close()
    os.close(folder)
