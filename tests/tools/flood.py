"""A client that sends without waiting, and what others notice of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

# Long enough that a server which serves no other meanwhile is noticed.
_SECONDS = 5.0
_MOST_SECONDS = 1.5


@contextlib.contextmanager
def flooding(client: socket.socket, data: bytes) -> Iterator[None]:
    """Send the same again and again, as fast as the server takes it, for five seconds at most; read and drop the answers."""
    until, is_over = time.monotonic() + _SECONDS, threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            while time.monotonic() < until and not is_over.is_set():
                client.sendall(data)

    def read() -> None:
        with contextlib.suppress(OSError):
            while client.recv(1 << 20):
                pass

    threads = [threading.Thread(target=each) for each in (send, read)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        threads[0].join()
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        threads[1].join()


def others_are_served(ask: Callable[[], int]) -> bool:
    """Tell whether a request is answered with 200, soon, five times in a second."""
    for _ in range(5):
        began = time.monotonic()
        if ask() != 200 or time.monotonic() - began > _MOST_SECONDS:
            return False
        time.sleep(0.2)
    return True
