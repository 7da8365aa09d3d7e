"""Centrifugo, one of the peers. It is built by ``go install`` where Go is, at the first use."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from . import process
from .job import Job
from .server import ROOT, free_port

_PACKAGE = "github.com/centrifugal/centrifugo/v6@v6.9.1"
_TOOLS = ROOT / "build" / "peers"
_START_SECONDS = 30
_SETTINGS = {
    "client": {"insecure": True, "allowed_origins": ["*"]},
    "http_api": {"insecure": True},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
            "history_size": 1000,
            "history_ttl": "300s",
            "force_recovery": True,
        }
    },
    "uni_sse": {"enabled": True},
    "log": {"level": "warn"},
}
_SUBSCRIBE = quote(json.dumps({"subs": {"bench": {}}}, separators=(",", ":")))


@contextlib.contextmanager
def serve() -> Iterator[Job | None]:
    """Start it, and yield the job that speaks to it; None if it is not there."""
    binary = _built()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        port = free_port()
        settings = {**_SETTINGS, "http_server": {"address": "127.0.0.1", "port": port}}
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(settings))
        started = subprocess.Popen([str(binary), "-c", str(file)], env={**os.environ, "GOMAXPROCS": "1"})
        try:
            process.pin(started.pid, process.SERVER_CORE)
            _wait_for(port)
            path = f"/connection/uni_sse?cf_connect={_SUBSCRIBE}"
            yield Job([port], [started.pid], listen_path=path, publish_path="/api/publish")
        finally:
            started.terminate()
            started.wait(10)


def _built() -> Path | None:
    """Return its program, built if need be; None where Go is not."""
    binary, go = _TOOLS / "centrifugo", shutil.which("go")
    if not binary.exists():
        if go is None:
            return None
        _TOOLS.mkdir(parents=True, exist_ok=True)
        print(f"Building {_PACKAGE}: some minutes, once.", file=sys.stderr)
        subprocess.run([go, "install", _PACKAGE], env={**os.environ, "GOBIN": str(_TOOLS)}, check=True)
    return binary


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Nothing answers on port {port} after {_START_SECONDS} s.")
