"""Servers of all kinds for an app of one's own: those with threads, in a process that is not patched, and gevent's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.tools.serving import PATHS, Server, free_port, wait_until
from tests.tools.zygote import fork

Command = Callable[[str, int], list[str]]
GUNICORN = ("gunicorn", "--no-control-socket")
#: The command line of each, after ``python -m``, for an app and a port. More options can follow, if it is not waitress.
KINDS: dict[str, Command] = {
    "werkzeug": lambda app, port: ["flask", "--app", app, "run", f"--port={port}"],
    "gthread": lambda app, port: [*GUNICORN, app, "-k", "gthread", "--threads=40", f"--bind=127.0.0.1:{port}"],
    "waitress": lambda app, port: ["waitress", "--threads=40", f"--listen=127.0.0.1:{port}", app],
    "gevent": lambda app, port: [*GUNICORN, app, "-k", "gevent", f"--bind=127.0.0.1:{port}"],
}


@contextlib.contextmanager
def serve_by(
    kind: str | Command, folder: Path, *options: str, app: str = "tests.apps.plain:app", **settings: object
) -> Iterator[Server]:
    """Start a server in ``folder``, and stop it at the end.

    Args:
        kind: One of `KINDS`, or another command line.
        options: More words for its command line.
        app: What it serves.
        settings: SIMULCAST_* without the prefix, in lower case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")}
    environment |= {"PYTHONPATH": f"{folder}{os.pathsep}{PATHS}"}
    environment |= {f"SIMULCAST_{name.upper()}": str(value) for name, value in settings.items()}
    command = [*(KINDS[kind] if isinstance(kind, str) else kind)(app, port), *options]
    with (folder / "server.log").open("ab") as log:
        process = fork(command, folder, environment, log.fileno(), log.fileno())
    server = Server(folder, port, process)
    try:
        wait_until(lambda: process.poll() is not None or answers(server), 30, f"{kind} to start")
        assert process.poll() is None, server.log
        yield server
    finally:
        _stop(server)


def answers(server: Server) -> bool:
    """Whether it serves the app now."""
    try:
        return server.request("GET", "/ping")[0] == 200
    except OSError:
        return False


def _stop(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(10)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
