"""A real PostgreSQL for tests: the distribution's server, on a free loopback port, that can be stopped and started again."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.tools.require import require
from tests.tools.serving import free_port, wait_until

_USER = "simulcast"


class Postgres:
    """One server, with its files in a folder that a restart finds again."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.port = port or free_port()
        self.password = secrets.token_hex(16)
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        # The server refuses to run as root.
        self._account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        secret = folder / "password"
        secret.write_text(self.password)
        os.chown(secret, self._account.pw_uid, self._account.pw_gid)
        options = [f"--username={_USER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync", "--locale=C.UTF-8"]
        subprocess.run(
            [_program("initdb"), f"--pgdata={self._data}", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as_account(),
        )

    def url(self, database: str = "postgres") -> str:
        """For ``SIMULCAST_DATABASE_URL``."""
        return f"postgresql+psycopg://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_url(self) -> str:
        """The same, of a new and empty database."""
        name = f"empty_{next(self._numbers)}"
        with connect_to(self.url()) as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-D", self._data, "-p", self.port, "-k", "", "-F", "-c", "listen_addresses=127.0.0.1"]
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                [_program("postgres"), *map(str, options)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                **self._as_account(),
            )
        wait_until(lambda: process.poll() is not None or self._answers(), 20, "PostgreSQL to start")
        assert process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        """End it and the connections to it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # its "fast" shutdown
            self._process.wait(20)
            self._process = None

    def _answers(self) -> bool:
        try:
            connect_to(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as_account(self) -> dict[str, int | str]:
        account = self._account
        is_other = account.pw_uid != os.getuid()
        return {"user": account.pw_uid, "group": account.pw_gid, "cwd": "/"} if is_other else {"cwd": "/"}


def connect_to(url: str) -> psycopg.Connection:
    """Open a connection of the test's own to this ``SIMULCAST_DATABASE_URL``."""
    return psycopg.connect(url.replace("+psycopg", ""), connect_timeout=5)


@contextlib.contextmanager
def serve_postgres() -> Iterator[Postgres]:
    """Start one in a folder of its own, and stop it at the end. pytest's folders are closed to the account of the server."""
    with tempfile.TemporaryDirectory(prefix="postgres") as folder:
        postgres = Postgres(Path(folder))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


def _program(name: str) -> str:
    """Find a program of the newest version that is installed; Debian keeps them out of the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return require("postgresql", str(installed[-1]) if installed else shutil.which(name))
