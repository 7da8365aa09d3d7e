"""Completions: 100 answers at once of a model's server: latency that is added to each token, CPU and memory; beside plain ways."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

from . import process
from .figure import Effort, Figure
from .job import percentiles_ms
from .model_server import TOKENS_PER_SECOND
from .server import Server, serve

_ANSWERS = 100
_TOKEN = re.compile(rb'"content":"(\d{9,})"')
_TAIL_BYTES = 64
# In the first second all answers begin at once, which is measured by itself.
_BEGIN_TOKENS = TOKENS_PER_SECOND


class Round(NamedTuple):
    """All answers, asked for at once."""

    tokens: int
    p50_ms: float
    p99_ms: float
    cpu_us: float
    resident_kib: float


class Reader:
    """Reads one answer."""

    def __init__(self) -> None:
        self._text = b""

    def read(self, connection: socket.socket, latencies: list[int]) -> bool:
        """Read a piece, and add the age of each token in ns. Return False at the end."""
        piece = connection.recv(1 << 16)
        now = time.monotonic_ns()
        self._text += piece
        end = 0
        for token in _TOKEN.finditer(self._text):
            latencies.append(now - int(token[1]))
            end = token.end()
        self._text = self._text[max(end, len(self._text) - _TAIL_BYTES) :]
        return bool(piece)


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure ours and the plain ways, one after the other."""
    with _model() as url:
        settings = {"completions_url": url, "max_runs": _ANSWERS, "max_runs_per_user": 0}
        with serve(**settings) as server:
            yield from _figures("ours", server, effort)
        with serve("benchmarks.completions_app:app", MODEL_URL=url) as server:
            yield from _figures("plain Flask", server, effort)
        if find_spec("fastapi") and find_spec("uvicorn") and find_spec("httpx"):
            with serve("benchmarks.completions_app:fastapi", asgi=True, MODEL_URL=url) as server:
                yield from _figures("FastAPI", server, effort)


def _figures(of: str, server: Server, effort: Effort) -> Iterator[Figure]:
    tokens = _BEGIN_TOKENS + round(effort.seconds * TOKENS_PER_SECOND)
    _ask(server, tokens)  # the first answers load what a worker loads late
    yield Figure(f"an answer of one token, CPU, {of}", _begin_cpu_us(server), "µs")
    rounds = sorted((_ask(server, tokens) for _ in range(effort.rounds)), key=lambda one: one.cpu_us)
    middle = rounds[len(rounds) // 2]
    lost = sum(_ANSWERS * tokens - one.tokens for one in rounds)
    faults, details = {"lost": lost} if lost else {}, [one._asdict() for one in rounds]
    name = f"{_ANSWERS} answers, added to a token"
    yield Figure(f"{name}, p50, {of}", middle.p50_ms, "ms", None, middle.cpu_us, "token", faults=faults, rounds=details)
    yield Figure(f"{name}, p99, {of}", middle.p99_ms, "ms", None, middle.cpu_us, "token")
    yield Figure(f"an answer, memory, {of}", max(one.resident_kib for one in rounds), "KiB")


def _ask(server: Server, tokens: int) -> Round:
    """Ask all at once, and read all answers to their ends."""
    before, cpu, grown = process.resident_bytes(server.workers), 0.0, 0
    latencies: list[int] = []
    first = 0
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(_ANSWERS):
            selector.register(stack.enter_context(_question(server, tokens)), selectors.EVENT_READ, Reader())
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.read(key.fileobj, latencies):
                    selector.unregister(key.fileobj)
            if not cpu and len(latencies) >= _ANSWERS * _BEGIN_TOKENS:
                cpu, first = process.cpu_seconds(server.workers), len(latencies)
            if not grown and len(latencies) > _ANSWERS * tokens // 2:
                grown = process.resident_bytes(server.workers) - before
    cpu = process.cpu_seconds(server.workers) - cpu
    p50, p99 = percentiles_ms(latencies[first:])
    return Round(len(latencies), p50, p99, cpu / (len(latencies) - first) * 1e6, grown / _ANSWERS / 1024)


def _begin_cpu_us(server: Server) -> float:
    """Return the CPU time of an answer of one token."""
    cpu = process.cpu_seconds(server.workers)
    _ask(server, 1)
    return (process.cpu_seconds(server.workers) - cpu) / _ANSWERS * 1e6


def _question(server: Server, tokens: int) -> socket.socket:
    asked = {
        "model": "bench",
        "stream": True,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Go on."}],
    }
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(head.encode() + body)
    return connection


@contextlib.contextmanager
def _model() -> Iterator[str]:
    """Start the model's server on this program's core; return its URL."""
    command = [sys.executable, "-m", "benchmarks.model_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            yield f"http://127.0.0.1:{int(started.stdout.readline())}/v1"
        finally:
            started.kill()
