"""PostgreSQL and MariaDB from the distribution, on a free port, each with its files in a folder that is gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.tools.require import require
from tests.tools.serving import free_port, wait_until

_START_SECONDS = 60


@contextlib.contextmanager
def serve_postgresql() -> Iterator[int]:
    """Start PostgreSQL with a role `shop`, and yield its port."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binaries = Path(require("postgresql", str(programs[-1]) if programs else None))
    with _folder_of("postgres") as (user, folder):
        port, data = free_port(), folder / "data"
        _run([binaries / "initdb", "-D", data, "-A", "trust", "-U", "shop"], user, folder)
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _served([binaries / "postgres", "-D", data, "-p", port, *options], user, folder, port, signal.SIGINT):
            yield port


@contextlib.contextmanager
def serve_mariadb() -> Iterator[int]:
    """Start MariaDB with a database and a user `shop`, and yield its port."""
    server = require("mariadb-server", shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin"))
    with _folder_of("mysql") as (user, folder):
        port, data = free_port(), folder / "data"
        _run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"], user, folder)
        statements = ["create database shop", "create user shop@127.0.0.1", "grant all on *.* to shop@127.0.0.1"]
        (folder / "init.sql").write_text("".join(f"{statement};\n" for statement in statements))
        options = [f"--datadir={data}", f"--socket={folder}/socket", f"--port={port}", "--bind-address=127.0.0.1"]
        command = [server, "--no-defaults", *options, f"--pid-file={folder}/pid", f"--init-file={folder}/init.sql"]
        with _served(command, user, folder, port, signal.SIGTERM):
            yield port


@contextlib.contextmanager
def _folder_of(user: str) -> Iterator[tuple[str | None, Path]]:
    """Make a folder for a server. Neither server runs as root: then it runs as its own user, which a folder of pytest refuses."""
    with tempfile.TemporaryDirectory(prefix=f"{user}-") as name:
        if os.geteuid() != 0:
            yield None, Path(name)
        else:
            shutil.chown(name, user)
            yield user, Path(name)


def _run(command: list[object], user: str | None, folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], user=user, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _served(command: list[object], user: str | None, folder: Path, port: int, end: int) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command], user=user, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port), _START_SECONDS, "the database to answer")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield
    finally:
        process.send_signal(end)
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
