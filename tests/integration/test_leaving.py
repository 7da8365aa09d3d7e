"""P8: a client that leaves is noticed within 100 ms, whatever it left behind (bug F12). Asserted at five times that."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.tools.clients import SSEClient
from tests.tools.require import require
from tests.tools.serving import Server, serve, wait_until

APP = "tests.apps.inspected:app"
GONE_SECONDS = 0.5
HEAD = b"GET /api/v1/stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
#: What a client sends before it is connected, and after.
LEFT_BEHIND = {
    "nothing": (HEAD, b""),
    "a short body": (BODY % 200 + b"x" * 200, b""),
    "a long body": (BODY % 100_000 + b"x" * 100_000, b""),
    "half of a body": (BODY % 100_000 + b"x" * 50_000, b""),
    "the end of a line": (HEAD, b"\r\n"),
    "another request": (HEAD, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
}
WAYS = ["fin", "rst", "half-close"]


def leave(client: socket.socket, how: str) -> None:
    if how == "half-close":
        client.shutdown(socket.SHUT_WR)
        return
    if how == "rst":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def listeners(server: Server) -> int:
    return int(server.get_json("/inspect")["listeners"])


def connect(client: socket.socket, left_behind: str) -> None:
    before, after = LEFT_BEHIND[left_behind]
    client.settimeout(10)
    client.sendall(before)
    text = b""
    while b"event: connected" not in text:
        text += client.recv(65536)
    if after:  # even without a byte it would wait until there is room for one
        client.sendall(after)


@pytest.mark.alone
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("left_behind", LEFT_BEHIND)
def test_client_that_leaves_is_noticed_whatever_it_left_behind(server: Server, left_behind: str, how: str) -> None:
    """Bug F12: unread bytes hid it until the next heartbeat."""
    assert listeners(server) == 0
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as client:
        connect(client, left_behind)
        assert listeners(server) == 1
        leave(client, how)
        began = time.monotonic()
        wait_until(lambda: listeners(server) == 0, GONE_SECONDS, "it to be noticed")
        print(f"{left_behind}, {how}: {(time.monotonic() - began) * 1000:.1f} ms")


@pytest.mark.parametrize("left_behind", LEFT_BEHIND)
def test_client_that_stays_is_not_taken_for_gone_whatever_it_sends(server: Server, left_behind: str) -> None:
    """Bug F12, the other side of it."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        connect(client, left_behind)
        with SSEClient(server.port, "/api/v1/stream?channel=a") as other:  # its leaving is told by the same epoll
            other.until("connected")
        wait_until(lambda: listeners(server) == 1, 5, "the other to be noticed")
        server.publish("a", "still there")
        text = b""
        while b"still there" not in text:
            text += client.recv(65536)
    wait_until(lambda: listeners(server) == 0, 5, "it to be noticed")


@pytest.fixture(scope="module")
def behind_a_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The path of a unix socket, as behind nginx."""
    folder = tmp_path_factory.mktemp("unix")
    with serve(folder, app=APP, bind=f"unix:{folder}/g.sock"):
        yield folder / "g.sock"


def ask_listeners(path: Path, **options: Any) -> int:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path), **options)) as client:
        return int(client.get(f"{'https' if options else 'http'}://localhost/inspect").json()["listeners"])


@pytest.mark.alone
@pytest.mark.parametrize("how", ["fin", "half-close"])
@pytest.mark.parametrize("left_behind", LEFT_BEHIND)
def test_the_same_over_a_unix_socket(behind_a_file: Path, left_behind: str, how: str) -> None:
    """Bug F12: nginx passes on a body of which the rest is still coming, and leaves as its client does."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(behind_a_file))
        connect(client, left_behind)
        assert ask_listeners(behind_a_file) == 1
        leave(client, how)
        wait_until(lambda: ask_listeners(behind_a_file) == 0, GONE_SECONDS, "it to be noticed")


@pytest.mark.alone
def test_the_same_behind_tls_of_gunicorn_itself(tmp_path: Path) -> None:
    """Bug F12, a sibling: a TLS socket can't be peeked at, and its clients were noticed at the next heartbeat."""
    openssl = require("openssl", shutil.which("openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=localhost"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(cafile=certificate)
    path = tmp_path / "g.sock"
    arguments = f"--certfile {certificate} --keyfile {key}"
    with serve(tmp_path, app=APP, bind=f"unix:{path}", GUNICORN_CMD_ARGS=arguments):
        for left_behind in LEFT_BEHIND:
            plain = socket.socket(socket.AF_UNIX)
            plain.connect(str(path))
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                connect(client, left_behind)
                assert ask_listeners(path, verify=context) == 1
            wait_until(lambda: ask_listeners(path, verify=context) == 0, GONE_SECONDS, "it to be noticed")


@pytest.mark.alone
def test_where_there_is_no_epoll_a_client_that_left_nothing_behind_is_noticed_as_well(tmp_path: Path) -> None:
    """What macOS and the BSDs have: the socket is peeked at."""
    with serve(tmp_path, app="tests.apps.peeking:app") as server:
        for how in WAYS:
            with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as client:
                connect(client, "nothing")
                assert listeners(server) == 1
                leave(client, how)
                wait_until(lambda: listeners(server) == 0, GONE_SECONDS, "it to be noticed")


def test_child_of_a_worker_takes_nothing_away_of_what_its_parent_is_told(tmp_path: Path) -> None:
    """Bug F12: an epoll is shared over a fork, and so are streams and their finalizers."""
    with serve(tmp_path, app="tests.apps.forking:app") as server, contextlib.ExitStack() as stack:
        with SSEClient(server.port, "/api/v1/stream?channel=a") as client:
            client.until("connected")
            stack.callback(os.kill, server.get_json("/fork")["child"], signal.SIGKILL)
            assert listeners(server) == 1
            server.publish("a", "still there")
            assert client.until("message").json == "still there"
        wait_until(lambda: listeners(server) == 0, 5, "it to be noticed")
