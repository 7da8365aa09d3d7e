"""A Python that has imported what every server of the tests needs of other projects, and forks servers and commands.

Started anew, each server spends two thirds of its CPU on these imports, and the tests start hundreds. The service, the extension,
and all that must not be loaded before gevent patches are not here: each worker loads them, as everywhere. Of what is here gevent
patches nothing but a few locks, under which nothing waits. Of the app it has the code of each module, compiled and not run.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import NoReturn

# No package that gevent has to patch before it is loaded; and not gunicorn, which looks where it is when it is loaded.
_OF_OTHERS = (
    "gevent.thread",  # outlives the handlers of logs, as in every server
    "gevent.pywsgi",
    "flask_sock",
    "flask_sqlalchemy",
    "sqlalchemy.dialects.sqlite",
    "jwt",
    "psutil",
    "msgspec.json",
    "h11",
    "wsproto",
    "simple_websocket",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.serialization.ssh",
    "cryptography.x509",
)
_ROOT = Path(__file__).resolve().parent.parent.parent
_MOST_BYTES = 1 << 20
_one_at_a_time = threading.Lock()  # tests start servers in threads
# Read when Python starts: a server with such a variable needs a Python of its own.
_OF_A_START = ("PYTHON", "LD_", "MALLOC_", "GEVENT", "FAKETIME")


class Forked:
    """A forked process, with the part of `subprocess.Popen` that tests use. Its parent is the zygote."""

    def __init__(self, pid: int, ending: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; minus the number for one that a signal ended.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            ending = select.poll()  # its number may be too high for select(): tests open many sockets
            ending.register(self._ending, select.POLLIN)
            if not ending.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            status = os.read(self._ending, 16)
            os.close(self._ending)
            self.returncode = int(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """TERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """KILL."""
        self.send_signal(signal.SIGKILL)


def can_fork(settings: Mapping[str, object]) -> bool:
    """Whether none of these variables of a server must be known when its Python starts, and this thread has no network of its
    own, which the server must have."""
    return _is_here() and not any(name.startswith(_OF_A_START) for name in settings)


def _is_here() -> bool:
    """Whether this thread has the network of its process. In another one it must not start the zygote, whose servers would be
    there, too, and not be reached from here."""
    return os.readlink("/proc/thread-self/ns/net") == os.readlink(f"/proc/{os.getpid()}/ns/net")


def fork(command: Sequence[str], folder: Path, environment: Mapping[str, str], output: int, errors: int) -> Forked:
    """Run ``python -m`` with this command and environment in a folder. What it says goes to the files ``output`` and ``errors``."""
    ending, told = os.pipe()
    with _one_at_a_time:
        zygote = _zygote()
        socket.send_fds(zygote, [json.dumps([command, str(folder), environment]).encode()], [output, errors, told])
        pid = int(zygote.recv(16))
    os.close(told)
    return Forked(pid, ending)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``python -m`` with this command, as `subprocess.run` does, and wait for its end."""
    if not _is_here():
        whole = [sys.executable, "-m", *command]
        return subprocess.run(
            whole, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        forked = fork(command, folder, environment, output.fileno(), errors.fileno())
        try:
            status = forked.wait(60)
        except subprocess.TimeoutExpired:
            forked.kill()
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, status, output.read(), errors.read())


@functools.cache
def _zygote() -> socket.socket:
    """Start the zygote of this process, which ends with it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMULCAST_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), f"{_ROOT}/tests/tools/startup"])
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(there.fileno())], env=environment, pass_fds=[there.fileno()]
    )
    there.close()

    def end() -> None:
        here.close()
        process.wait()

    atexit.register(end)
    return here


def _serve(orders: socket.socket) -> None:
    """Fork a server for each order, and tell how each ended. End when the tests have."""
    ended, by_signal = os.pipe()
    os.set_blocking(by_signal, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which stop their servers
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(by_signal)
    told: dict[int, int] = {}
    while True:
        ready = select.select([orders, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
            _tell(told)
        if orders in ready:
            order, files, *_ = socket.recv_fds(orders, _MOST_BYTES, 3)
            if not order:
                return
            output, errors, answer = files
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for file in (orders.fileno(), ended, by_signal, answer, *told.values()):
                    os.close(file)
                _become(*json.loads(order), output, errors)
            os.close(output)
            os.close(errors)
            told[pid] = answer
            orders.send(str(pid).encode())


def _tell(told: dict[int, int]) -> None:
    """Write the exit status of each server that has ended, to the one that asked for it."""
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        answer = told.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(answer)


def _become(command: list[str], folder: str, environment: dict[str, str], output: int, errors: int) -> None:
    """Do what ``python -m`` does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    os.close(errors)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *environment["PYTHONPATH"].split(os.pathsep)]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv, sys.orig_argv = command, [sys.executable, "-m", *command]  # Flask's reloader starts the latter anew
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as ending:  # of the server, or of a worker that it has forked
        _end(ending.code)
    _end(None)


def _end(code: str | int | None) -> NoReturn:
    """End as Python does, but leave the memory to the kernel: to free each object takes a fifth of a server's time."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _keep_code() -> None:
    """Let each server take the code of the app's modules, and of gunicorn's, from memory."""
    read = SourceFileLoader.get_code
    gunicorn = find_spec("gunicorn")
    assert gunicorn is not None and gunicorn.origin is not None
    folders = [_ROOT / "app", Path(gunicorn.origin).parent]
    paths = [str(path) for folder in folders for path in folder.rglob("*.py")]
    kept = {path: read(SourceFileLoader("", path), "") for path in paths}

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        return kept.get(loader.path) or read(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    for name in _OF_OTHERS:
        importlib.import_module(name)
    _keep_code()
    metadata.entry_points()  # read once; all servers keep the answer (`startup/`)
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
