"""A separate Redis for each run, with an append-only file, on the server's core or the client's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import process
from .server import free_port

_START_SECONDS = 10


@dataclass(frozen=True)
class Redis:
    """A Redis that runs.

    Attributes:
        url: Its URL, for SIMULCAST_BROKER_URL.
        pid: Pid of its process.
    """

    url: str
    pid: int


@contextlib.contextmanager
def serve_redis(core: int) -> Iterator[Redis]:
    """Start a Redis, and stop it at the end.

    Args:
        core: The core that it may use.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        raise RuntimeError("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        options = {"bind": "127.0.0.1", "port": port, "dir": folder, "appendonly": "yes", "save": ""}
        command = [binary, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.pin(started.pid, core)
            _wait_for(port)
            yield Redis(f"redis://127.0.0.1:{port}/0", started.pid)
        finally:
            started.terminate()
            started.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.05)
    raise RuntimeError("Redis did not start.")
