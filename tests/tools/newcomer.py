"""A newcomer's first five minutes: an empty folder, a fresh environment, the built wheel, the ten lines of the README, curl.

Prints how long each step took. Run it with ``scripts/newcomer``.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .serving import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 30


def main() -> None:
    laps = Laps()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        (folder / "app.py").write_text(ten_lines())
        laps.end("a fresh environment, with the built wheel")
        with started(folder, "flask", "run") as server:
            first_event(server.port)
            laps.end("flask run: from its start to the first event by curl")
            with Curl(server.port) as client:
                client.until("event: connected")
                server.stop(signal.SIGINT)
                laps.end("flask run: Ctrl-C while a client listens")
        with started(folder, "gunicorn", "-c", "python:flask_simulcast.gunicorn", "-w", "2", "app:app") as server:
            id = first_event(server.port)
            laps.end("gunicorn by one line: from its start to the first event")
            with Curl(server.port) as client:
                client.until("event: connected")
                server.process.send_signal(signal.SIGHUP)
                client.reads_its_end()
            publish(server.port)
            with comes_back(server.port, "event: created", id):
                laps.end("gunicorn: HUP, a client is told, comes back, and has what it missed")
            with comes_back(server.port, "event: connected") as client:
                server.process.send_signal(signal.SIGTERM)
                client.reads_its_end()
            server.process.wait(PATIENCE_SECONDS)
            laps.end("gunicorn: TERM, a client is told, and all processes are gone")


class Laps:
    """Prints how long each step took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def end(self, step: str) -> None:
        now = time.monotonic()
        print(f"{now - self._began:6.1f} s  {step}", flush=True)
        self._began = now


def install(folder: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", folder / "venv")
    pip = (folder / "venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    run(*pip, f"flask-simulcast[gunicorn] @ file://{wheel}")


def ten_lines() -> str:
    block = re.search(r"## Ten lines.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None, "The README has no ten lines."
    return block[1]


def first_event(port: int) -> str:
    """Listen, publish, and return the id of the event."""
    with Curl(port) as client:
        client.until("event: connected")
        publish(port)
        client.until("event: created")
        assert client.until("data:") == 'data: {"id":7}', "The event is not the one that was published."
        return client.id


@contextmanager
def comes_back(port: int, to: str, id: str = "") -> Iterator[Curl]:
    """Reconnect as a browser does, again and again, for a worker that is about to stop sends the client on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with Curl(port, last_event_id=id) as client:
            if client.find(to):
                yield client
                return
    raise AssertionError(f"No line {to!r} came after the reload.")


def publish(port: int) -> None:
    body = ("-H", "Content-Type: application/json", "-d", '{"id": 7}')
    run("curl", "-sSf", *body, f"http://127.0.0.1:{port}/orders")


class Curl:
    """``curl -N`` on the stream of the ten lines.

    Attributes:
        id: The last id that it saw.
    """

    def __init__(self, port: int, last_event_id: str = "") -> None:
        header = ("-H", f"Last-Event-ID: {last_event_id}") if last_event_id else ()
        self._process = subprocess.Popen(
            ["curl", "-sSN", *header, f"http://127.0.0.1:{port}/orders/stream"], stdout=subprocess.PIPE, bufsize=0
        )
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self.id = ""

    def __enter__(self) -> Curl:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def until(self, start: str) -> str:
        """Read on to a line that begins so, and return it."""
        line = self.find(start)
        assert line, f"The stream ended, or was silent for {PATIENCE_SECONDS} s, before a line {start!r}."
        return line

    def find(self, start: str) -> str:
        """Read on to a line that begins so, and return it; empty if the stream ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._lines or self._reads_on(deadline):
            line = self._lines.popleft().decode()
            if line.startswith("id: "):
                self.id = line.removeprefix("id: ")
            if line.startswith(start):
                return line
        return ""

    def reads_its_end(self) -> None:
        """Read ``closed`` and the end of the response. A connection that was cut is an error of curl's."""
        self.until("event: closed")
        code = self._process.wait(PATIENCE_SECONDS)
        assert code == 0, f"curl ended with {code}: the stream was cut."

    def _reads_on(self, deadline: float) -> bool:
        """Wait for whole lines. False at the end of the stream, and at the deadline."""
        assert self._process.stdout is not None
        while not self._lines:
            ready, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(ready[0].fileno(), 65536) if ready else b""
            if not piece:
                return False
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._lines.extend(lines)
        return True


class Running(NamedTuple):
    """A server that the newcomer has started."""

    process: subprocess.Popen[bytes]
    port: int

    def stop(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def started(folder: Path, program: str, *arguments: str) -> Iterator[Running]:
    """Start a program of the new environment in the folder, on a free port; stop it at the end."""
    port = free_port()
    where = ("--port", str(port)) if program == "flask" else ()
    environ = {**os.environ, "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}"}
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [folder / "venv/bin" / program, *arguments, *where], cwd=folder, env=environ, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(port), PATIENCE_SECONDS, "the server to answer")
        yield Running(process, port)
    except BaseException:
        print((folder / "server.log").read_text(), file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def answers(port: int) -> bool:
    done = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/"], check=False, capture_output=True)
    return done.returncode == 0


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    main()
