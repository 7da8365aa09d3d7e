"""Real servers for tests: gunicorn with this service, on a free port or a unix socket of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tools.zygote import Forked, can_fork, fork, run

ROOT = Path(__file__).resolve().parent.parent.parent
#: Makes each Python that a test starts begin sooner.
STARTUP = str(ROOT / "tests" / "tools" / "startup")
PATHS = f"{ROOT}{os.pathsep}{STARTUP}"
KEY = "k" * 32  # of a server that lives for one test
BEARER = {"Authorization": f"Bearer {KEY}"}
_OF_THE_SERVICE = ("wsgi:", "tests.apps.")
_CONFIG = ROOT / "gunicorn.conf.py"
# Constants of the app that tests change.
GRACE_SECONDS = "app.flask_simulcast.hub.place_reporter.GRACE_SECONDS"
PAGE_BYTES = "app.flask_simulcast.hub.hub.PAGE_BYTES"
BURST_SECONDS = "app.web.limits.BURST_SECONDS"
TICKETS_PER_SECOND = "app.web.limits.TICKETS_PER_SECOND"
CHAT_BURST_SECONDS = "app.features.chat.limits.BURST_SECONDS"


def free_port() -> int:
    """Find a free loopback port, and reserve it until a server has bound it.

    One that the kernel chooses may be the next outgoing connection's before that. So it is below those, each is given
    once in a process, and processes that run tests at the same time have ports of their own.
    """
    for port in _ports:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is left")


def _shuffled_ports() -> Iterator[int]:
    first_of_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = range(16384, first_of_kernel if first_of_kernel > 20000 else 32768)
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = ports[mine :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return iter(random.sample(share, len(share)))


_ports = _shuffled_ports()


def wait_until(is_so: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """Wait for a condition, with a deadline. Returns its value.

    Each look may be a request, so one that has waited for a while looks less often, and finds out a tenth later.
    """
    began = time.monotonic()
    while True:
        value = is_so()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds} s: {what or is_so}")
        time.sleep(min(max(waited / 10, 0.01), 0.05))


class Server:
    """One gunicorn, its workers, and what it says."""

    def __init__(
        self, folder: Path, port: int, process: subprocess.Popen[bytes] | Forked, host: str = "127.0.0.1"
    ) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.host = host

    @property
    def workers(self) -> list[int]:
        """Pids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    @property
    def log(self) -> str:
        """What it wrote to stdout and stderr."""
        return (self.folder / "server.log").read_text()

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a new connection: status, headers (names in lower case), body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get_json(self, path: str, headers: dict[str, str] | None = None) -> Any:
        """GET, which must answer 200 with JSON."""
        status, _, body = self.request("GET", path, headers=headers)
        assert status == 200, body
        return json.loads(body)

    def publish(self, channel: str, *data: Any, type: str = "message") -> list[str]:
        """Publish with the key; the positions."""
        events = [{"channel": channel, "data": value, "type": type} for value in data]
        status, _, body = self.request("POST", "/api/v1/events", events, BEARER)
        assert status == 201, body
        return list(json.loads(body)["positions"])

    def signal(self, number: int) -> None:
        """To the master."""
        self.process.send_signal(number)

    def stop(self) -> None:
        """TERM, and KILL for one that does not listen; never leaves a process behind."""
        self._end_by(signal.SIGTERM)

    def quit(self) -> None:
        """QUIT, and KILL for one that does not listen. Its workers drain and exit at once; on TERM gunicorn's gevent worker
        looks only once a second whether it shall stop."""
        self._end_by(signal.SIGQUIT)

    def _end_by(self, number: signal.Signals) -> None:
        workers = self.workers if self.process.poll() is None else []
        for pid in workers:
            _kill(pid, signal.SIGCONT)
        self.process.send_signal(number)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.process.wait(2)
                return
            except subprocess.TimeoutExpired:
                # A worker that gunicorn had just forked may have taken the signal for its master's: tell it again.
                for pid in self.workers:
                    _kill(pid, number)
        workers = self.workers
        self.process.kill()
        self.process.wait()
        for pid in workers:
            _kill(pid, signal.SIGKILL)
        raise AssertionError(f"the server did not stop on {number.name}:\n{self.log}")


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@contextlib.contextmanager
def serve(
    folder: Path,
    *,
    workers: int = 1,
    bind: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    through: Sequence[str] = (),
    app: str = "wsgi:app",
    config: Path | str | None = _CONFIG,
    constants: Mapping[str, object] | None = None,
    first: bool = False,
    **settings: object,
) -> Iterator[Server]:
    """Start gunicorn as an operator would, in ``folder``, and stop it at the end.

    Args:
        folder: Its working directory: logs and the SQLite files of ``instance/``.
        workers: Worker processes.
        bind: Instead of a port; several, with commas between them, if the first is a socket in a file.
        host: Whose port: an address of its own.
        port: By default a free one.
        through: A command that runs the one after it: ``ip netns exec name``.
        app: Another WSGI app than the service, importable from ``folder`` or the repository.
        config: For gunicorn, as its option `-c` takes it; None for plain ``gunicorn -k gevent``, without our hooks.
        constants: Values for constants that are no settings, by module and name.
        first: Whether it starts as the first one in ``folder`` does: by a Python of its own, and it makes the tables of the
            database. By default it finds them, as every other start does, and is forked (`tests.tools.zygote`).
        settings: SIMULCAST_* without the prefix in lower case; other names, in capitals, are handed on as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not first and app.startswith(_OF_THE_SERVICE):
        _put_tables(folder / "instance")
    port = port or free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")}
    environment |= {
        "PYTHONPATH": f"{folder}{os.pathsep}{PATHS}",
        "BIND": bind or f"{host}:{port}",
        "WEB_CONCURRENCY": str(workers),
        "SIMULCAST_PUBLISH_KEY": KEY,
        "SIMULCAST_ANONYMOUS_CHANNELS": "*",
    }
    if constants:
        environment |= {"TUNED_APP": app, "TUNED_CONSTANTS": json.dumps(dict(constants))}
        app = "tests.apps.tuned:app"
    environment |= {k if k.isupper() else f"SIMULCAST_{k.upper()}": str(v) for k, v in settings.items()}
    plain = ["-k", "gevent", "-b", environment["BIND"], "--no-control-socket"]
    options = plain if config is None else ["-c", str(config)]
    arguments = [*options, app]
    process: subprocess.Popen[bytes] | Forked
    with (folder / "server.log").open("wb") as log:
        if first or through or not can_fork(settings):
            command = [*through, sys.executable, "-m", "gunicorn", *arguments]
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        else:
            process = fork(["gunicorn", *arguments], folder, environment, log.fileno(), log.fileno())
    server = Server(folder, port, process, host)
    try:
        wait_until(lambda: process.poll() is not None or _answers(server, workers, bind), 30, "the server to start")
        assert process.poll() is None, server.log
        yield server
    finally:
        server.quit()


def _put_tables(instance: Path) -> None:
    """Put the service's database with its empty tables there, unless the folder exists: to make them takes 0.2 s a worker."""
    if not instance.exists():
        tables = _tables()
        instance.mkdir(mode=0o700)
        instance.joinpath("service.db").touch(0o600)
        instance.joinpath("service.db").write_bytes(tables)


@functools.cache
def _tables() -> bytes:
    """Make that database, as the service makes it; once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")} | {"PYTHONPATH": PATHS}
        run(["wsgi"], Path(folder), environment).check_returncode()
        with contextlib.closing(sqlite3.connect(f"{folder}/instance/service.db")) as database:
            return database.serialize()


@contextlib.contextmanager
def together(*servers: contextlib.AbstractContextManager[Server]) -> Iterator[list[Server]]:
    """Start all of these at the same time, and stop them at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        starting = [pool.submit(server.__enter__) for server in servers]
        try:
            yield [start.result() for start in starting]
        finally:
            started = [server for server, start in zip(servers, starting, strict=True) if start.exception() is None]
            list(pool.map(lambda server: server.__exit__(None, None, None), started))


def _answers(server: Server, workers: int, bind: str | None) -> bool:
    if server.log.count("Booting worker") < workers:
        return False
    if bind is not None and bind.startswith("unix:"):
        return Path(bind.removeprefix("unix:").partition(",")[0]).exists()
    try:
        return server.request("GET", "/healthz")[0] in (200, 404)
    except OSError:
        return False
