"""A reader of the documents: a clean folder, a shell, and the patience to wait until what was started answers."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.docs.page import Block
from tests.tools.serving import ROOT, STARTUP, Server, free_port, wait_until

PAGE_PORT = 8000  # what the documents say; a test has another one, and that is all that it changes in a command
_COMMAND_SECONDS = 60
_COPIED = ("app", "scripts", "wsgi.py", "gunicorn.conf.py", "requirements.txt")


class Reader:
    """One folder, and commands that are run in it by bash.

    Attributes:
        folder: Where the reader is: empty, or a copy of the repository.
        port: Instead of the documents' 8000.
        environment: What the commands find. PATH begins with the virtual environment, as it does once that is activated.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        given = {name: value for name, value in os.environ.items() if not name.startswith(("SIMULCAST_", "GUNICORN_"))}
        self.environment = given | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": STARTUP,
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "",
            "PIP_NO_INDEX": "1",  # scripts/run looks whether its packages are there; it must not fetch any
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{self.port} --worker-tmp-dir /dev/shm",
            "FLASK_SECRET_KEY": secrets.token_hex(16),
            **environment,
        }

    def run(self, block: Block | str, **environment: str) -> str:
        """Paste a block, and wait for its end, which must be a good one. What it printed on stdout."""
        text = self._text(block)
        with (self.folder / "shell.log").open("wb") as log:
            shell = self._shell(text, stdout=subprocess.PIPE, stderr=log, environment=environment)
            try:
                output, _ = shell.communicate(timeout=_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                output = b"(it does not end)"
            finally:
                _end(shell)
        said = (self.folder / "shell.log").read_text()
        assert shell.returncode == 0, f"{_place(block)}\n{text}\n{output.decode()}\n{said}"
        return output.decode()

    @contextlib.contextmanager
    def running(self, block: Block | str, **environment: str) -> Iterator[Running]:
        """Paste a block that goes on, such as a server or a listening curl; it is stopped at the end."""
        path = self.folder / f"output-{len(list(self.folder.glob('output-*.log')))}.log"
        with path.open("wb") as log:
            shell = self._shell(self._text(block), stdout=log, stderr=subprocess.STDOUT, environment=environment)
        running = Running(path, shell, _place(block))
        try:
            yield running
        finally:
            _end(shell)

    @contextlib.contextmanager
    def serving(self, block: Block | str, **environment: str) -> Iterator[Server]:
        """Paste a block that starts a server, and go on once it answers."""
        with self.running(block, **environment) as running:
            wait_until(lambda: running.has_ended or self._is_answered(), 40, f"{running.place} to answer")
            assert not running.has_ended, f"{running.place} ended:\n{running.output}"
            (self.folder / "server.log").unlink(missing_ok=True)
            (self.folder / "server.log").symlink_to(running.path)
            yield Server(self.folder, self.port, running.shell)

    def _shell(
        self, text: str, *, stdout: int | IO[bytes], stderr: int | IO[bytes], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def _text(self, block: Block | str) -> str:
        text = block if isinstance(block, str) else block.text
        for host in ("127.0.0.1", "localhost"):
            text = text.replace(f"{host}:{PAGE_PORT}", f"127.0.0.1:{self.port}")
        return text

    def _is_answered(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


class Running:
    """A block that goes on."""

    def __init__(self, path: Path, shell: subprocess.Popen[bytes], place: str) -> None:
        self.path = path
        self.shell = shell
        self.place = place

    @property
    def output(self) -> str:
        """What it has printed until now."""
        return self.path.read_text()

    @property
    def has_ended(self) -> bool:
        """Whether the shell is gone; what it left in the background may still run."""
        return self.shell.poll() is not None

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Wait until it has printed this. Everything that it has printed."""
        try:
            wait_until(lambda: text in self.output, seconds, f"{text!r} from {self.place}")
        except AssertionError as error:
            raise AssertionError(f"{error}. It printed:\n{self.output}") from None
        return self.output


@contextlib.contextmanager
def app_reader(folder: Path, **files: str) -> Iterator[Reader]:
    """A reader with an app of their own: an empty folder, and `pip install flask-simulcast` done.

    Args:
        files: Modules of the folder without their ``.py``: ``app="…"``.
    """
    packages = folder / "packages"
    packages.mkdir(parents=True)
    (packages / "flask_simulcast").symlink_to(ROOT / "app" / "flask_simulcast")
    here = folder / "shop"
    here.mkdir()
    for name, text in files.items():
        (here / f"{name}.py").write_text(text)
    yield Reader(here, PYTHONPATH=f"{packages}{os.pathsep}{STARTUP}")


@contextlib.contextmanager
def service_reader(folder: Path, **environment: str) -> Iterator[Reader]:
    """A reader with a fresh clone of this repository, whose `.venv` is made already."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target)  # and what Python has compiled of it
        else:
            shutil.copy(source, target)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    yield Reader(folder, **environment)


def _place(block: Block | str) -> str:
    return block if isinstance(block, str) else block.place


def _end(shell: subprocess.Popen[bytes]) -> None:
    """TERM for all that the block has started, then KILL; a server drains and is gone within 5 s.

    Not Ctrl-C: what bash starts in the background of a script ignores it.
    """
    for number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, number)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: shell.poll() is not None and not _is_there(shell.pid), seconds)
            return
    raise AssertionError(f"processes of group {shell.pid} do not end")


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
