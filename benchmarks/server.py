"""Real servers: gunicorn with one gevent worker, or uvicorn, started as an operator would, on the server's core."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import process

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 30
_STOP_SECONDS = 40


@dataclass(frozen=True)
class Server:
    """One server with one worker.

    Attributes:
        port: Port on loopback.
        key: Key that may publish.
        pid: Pid of its master.
        folder: Its working directory.
    """

    port: int
    key: str
    pid: int
    folder: Path

    @property
    def workers(self) -> list[int]:
        """Pids of the worker processes: of gunicorn its children, uvicorn works itself."""
        return process.children_of(self.pid) or [self.pid]

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request with the key on a new connection; return the body of the answer.

        Raises:
            RuntimeError: The status was not 2xx.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {response.status}: {answer[:500]!r}")
        return answer


@contextlib.contextmanager
def serve(
    app: str = "wsgi:app", *, folder: Path | None = None, asgi: bool = False, **settings: object
) -> Iterator[Server]:
    """Start gunicorn, and stop it at the end.

    Args:
        app: The app to serve.
        folder: Its working directory, with the log in ``instance/``. Two servers in one folder are one fleet.
        asgi: Whether it is a factory of an ASGI app, for uvicorn.
        settings: SIMULCAST_* settings without the prefix, in lower case; names in capitals are handed on as they are.
    """
    with contextlib.ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulcast-bench-")))
        port, key = free_port(), secrets.token_hex(16)
        log = stack.enter_context((folder / f"server-{port}.log").open("wb"))
        gunicorn = ["gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), app]
        uvicorn = ["uvicorn", "--factory", app, "--port", str(port), "--log-level", "warning"]
        command = [sys.executable, "-m", *(uvicorn if asgi else gunicorn)]
        started = subprocess.Popen(
            command, cwd=folder, env=_environment(port, key, settings), stdout=log, stderr=subprocess.STDOUT
        )
        stack.callback(_stop, started)
        process.pin(started.pid, process.SERVER_CORE)  # before it has a worker, because importing takes longer
        _wait_for(started, port, Path(log.name))
        yield Server(port, key, started.pid, folder)


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _environment(port: int, key: str, settings: dict[str, object]) -> dict[str, str]:
    """Return an environment with room for 5000 listeners and those of the previous run, and without heartbeats."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIMULCAST_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "WORKER_CONNECTIONS": "14000",
        "SIMULCAST_MAX_LISTENERS": "12000",
        "SIMULCAST_MAX_LISTENERS_PER_ADDRESS": "0",  # all listeners have one address
        "SIMULCAST_HEARTBEAT_SECONDS": "3600",
        "SIMULCAST_PUBLISH_KEY": key,
        "SIMULCAST_ANONYMOUS_CHANNELS": "*",
        **{name if name.isupper() else f"SIMULCAST_{name.upper()}": str(value) for name, value in settings.items()},
    }


def _wait_for(started: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while started.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            if connection.recv(1):
                return
        time.sleep(0.05)
    raise RuntimeError(f"The server did not start:\n{log.read_text()}")


def _stop(started: subprocess.Popen[bytes]) -> None:
    """Send TERM, and KILL if the server does not stop: no process must be left behind."""
    workers = process.children_of(started.pid) if started.poll() is None else []
    started.terminate()
    try:
        started.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in [*workers, started.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        started.wait()
