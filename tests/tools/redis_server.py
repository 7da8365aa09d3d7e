"""A real Redis for tests: a process of its own on a free loopback port, that can be frozen, killed, and started again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.tools.require import require
from tests.tools.serving import free_port, wait_until


class Redis:
    """One server, with its files in a folder that a restart finds again.

    Args:
        folder: For its log, AOF and dump.
        keeps: With an append-only file, synced before each answer, so that it survives a kill.
        port: A port that was free; by default one is found.
        options: Further options, as the command line has them: ``{"replicaof": "127.0.0.1 7000"}``.
    """

    def __init__(
        self, folder: Path, *, keeps: bool = True, port: int = 0, options: dict[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if keeps else "no",
            "appendfsync": "always",
            "daemonize": "no",
        } | (options or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``SIMULCAST_BROKER_URL``."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "redis.log").read_text()

    def start(self) -> None:
        """Start it, and wait until it answers: a dump or AOF is loaded then."""
        binary = require("redis-server", shutil.which("redis-server"))
        arguments = [part for name, value in self._options.items() for part in (f"--{name}", *_words(name, value))]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        process = self._process
        wait_until(lambda: process.poll() is not None or self._answers(), 20, "Redis to start")
        assert process.poll() is None, self.log

    def command(self, *words: str, seconds: float = 5) -> bytes:
        """One command on a connection of its own; the answer as it came, of one read. Raises OSError if it is not there."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            parts = [word.encode() for word in words]
            body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
            connection.sendall(b"*%d\r\n%s" % (len(parts), body))
            return connection.recv(1 << 16)

    def freeze(self) -> None:
        """It is there, and does nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on with what lies in its sockets."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; what was not in a file is gone."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def dump(self) -> bytes:
        """What it has now, as a file that `start_from` takes."""
        assert self.command("SAVE").startswith(b"+OK")
        return (self.folder / "dump.rdb").read_bytes()

    def start_from(self, dump: bytes) -> None:
        """Start it with what it had then."""
        (self.folder / "dump.rdb").write_bytes(dump)
        self.start()

    def ask(self, *words: str) -> str:
        """One command; the body of its answer, for those that are one text: ``INFO``, ``CLIENT LIST``."""
        return self.command(*words).decode().partition("\r\n")[2]

    def facts(self, section: str) -> dict[str, str]:
        """A section of ``INFO``."""
        return dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)

    def move_to(self, port: int) -> None:
        """Listen on another port from now on."""
        assert self.command("CONFIG", "SET", "port", str(port)).startswith(b"+OK")
        self.port = port
        self._options["port"] = str(port)

    def stop(self) -> None:
        """The end of the test."""
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self.kill()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False


def _words(name: str, value: str) -> list[str]:
    """``replicaof`` takes two."""
    return value.split() if name == "replicaof" else [value]


@contextlib.contextmanager
def serve_redis(folder: Path, *, keeps: bool = True, options: dict[str, str] | None = None) -> Iterator[Redis]:
    """Start one, and stop it at the end."""
    redis = Redis(folder, keeps=keeps, options=options)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()
