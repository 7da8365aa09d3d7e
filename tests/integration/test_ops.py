"""Health, readiness, the log of streams; and the folder in which workers meet, with many processes at it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from app.flask_simulcast.ops.figures import Figures
from app.flask_simulcast.ops.folder import Folder
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import PATHS, ROOT, Server, free_port, serve, wait_until

APP = "tests.apps.operated:app"


server = server_fixture(workers=2, app=APP, retry_ms=100)


def publish(server: Server, channel: str, data: bytes = b"x") -> None:
    status, _, body = server.request("POST", f"/publish/{channel}", data)
    assert status == 201, body


def counted(number: int) -> Figures:
    return Figures({"n": {"": number}}, {"listeners": 1.0})


# Health


def test_health_tells_of_all_workers(server: Server) -> None:
    before = wait_until(lambda: (now := server.get_json("/healthz"))["workers"] == 2 and now, 10, "both to report")
    clients = [SSEClient(server.port, "/listen/health") for _ in range(6)]
    for client in clients:
        client.until("connected")
    publish(server, "health")
    for client in clients:
        client.until("message")
    server.request("GET", "/boom")

    def health() -> Any:
        now = server.get_json("/healthz")
        return now["activeConnections"] == 6 and now["errorCount"] == before["errorCount"] + 1 and now

    now = wait_until(health, 10, "health to tell of six listeners")
    assert now["totalMessages"] == before["totalMessages"] + 6
    assert (now["status"], now["workers"]) == ("ok", 2)
    assert now["uptime"] > before["uptime"]
    for client in clients:
        client.close()
    wait_until(lambda: server.get_json("/healthz")["activeConnections"] == 0)


def test_ready_says_where_the_log_is(server: Server) -> None:
    assert server.get_json("/readyz")["status"] == "ok"


# Logs


def lines_of(server: Server, channel: str) -> list[dict[str, Any]]:
    """What was written at the end of the streams of a channel."""
    found = re.findall(r"^\[.*\] \[INFO\] flask_simulcast\.streams: (\{.*\})$", server.log, re.MULTILINE)
    return [line for line in map(json.loads, found) if line["channels"] == [channel]]


def test_a_stream_leaves_one_line_that_says_how_long_how_much_and_why(server: Server) -> None:
    began = time.monotonic()
    with SSEClient(
        server.port, "/listen/logged?ticket=s3cret&token=s3cret", headers={"Accept-Encoding": "x"}
    ) as client:
        listener = client.until("connected").json["listener"]
        connected_after = time.monotonic() - began
        publish(server, "logged", b"personal data")
        publish(server, "logged")
        client.take(2, "message")
        stayed = time.monotonic() - began
    (line,) = wait_until(lambda: lines_of(server, "logged"), 5, "the line")
    assert line.keys() == {"stream", "user", "channels", "encoding", "reason", "seconds", "events", "bytes"}
    assert (line["stream"], line["encoding"], line["reason"], line["events"]) == (listener, "sse", "client_gone", 2)
    assert stayed - connected_after <= line["seconds"] <= time.monotonic() - began
    assert "s3cret" not in server.log
    assert "personal data" not in server.log


def test_its_bytes_are_those_of_the_body_from_the_first_to_the_goodbye(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
        connection.request("GET", "/listen/whole")
        response = connection.getresponse()
        body = b""
        while b"event: connected\n" not in body:
            body += response.readline()
        publish(server, "whole", b"something")
        while b"something" not in body:
            body += response.readline()
        server.signal(signal.SIGHUP)
        body += response.read()
        connection.close()
        (line,) = wait_until(lambda: lines_of(server, "whole"), 5, "the line")
    assert b"event: closed\n" in body
    assert (line["reason"], line["events"], line["bytes"]) == ("draining", 1, len(body))


def test_a_quiet_service_writes_no_line(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, log_level="warning") as server:
        with SSEClient(server.port, "/listen/quiet") as client:
            client.until("connected")
        wait_until(lambda: server.get_json("/healthz")["activeConnections"] == 0)
        assert "flask_simulcast.streams" not in server.log
        server.request("GET", "/boom")
        assert "RuntimeError: on purpose" in server.log


def test_the_development_server_has_all_of_it_too(tmp_path: Path) -> None:
    """One process, no gunicorn and no hooks; and it writes whole request lines."""
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": PATHS}, stdout=log, stderr=subprocess.STDOUT
        )
    server = Server(tmp_path, port, process)
    try:
        wait_until(lambda: "Running on" in server.log, 20, "the development server")
        health = server.get_json("/healthz?ticket=s3cret")
        assert (health["status"], health["workers"]) == ("ok", 1)
        assert b"simulcast_workers 1.0" in server.request("GET", "/metrics")[2]
        assert '"GET /healthz HTTP/1.1" 200' in server.log
        assert "s3cret" not in server.log
    finally:
        process.terminate()
        process.wait(10)


# The folder


def test_one_that_is_folded_between_two_looks_of_a_reader_counts_once(tmp_path: Path) -> None:
    """The reader has its file already when another one folds it, and then sees it in what has ended."""

    class Interrupted(Folder):
        def _ended(self) -> Any:
            if self.interrupt:
                self.interrupt = False
                assert other.read().figures.count("n") == 7
            return super()._ended()

        interrupt = False

    reader, other, gone = Interrupted(tmp_path), Folder(tmp_path), Folder(tmp_path)
    for folder, number in ((reader, 1), (other, 2), (gone, 4)):
        folder.write(counted(number))
    gone.leave()
    reader.interrupt = True
    machine = reader.read()
    assert (machine.workers, machine.figures.count("n")) == (2, 7)
    assert machine.figures.gauges == {"listeners": 2.0}
    assert len(list(tmp_path.glob("*.json"))) == 3
    for folder in (reader, other):
        folder.leave()


def test_a_fold_that_was_killed_half_way_is_finished_by_the_next_and_counts_once(tmp_path: Path) -> None:
    """Written, and not deleted yet."""
    reader, gone = Folder(tmp_path), Folder(tmp_path)
    reader.write(counted(1))
    gone.write(counted(4))
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    gone.leave()
    assert reader.read().figures.count("n") == 5
    for file, text in files.items():
        if not file.exists():
            file.write_bytes(text)
    assert reader.read().figures.count("n") == 5
    assert reader.read().figures.count("n") == 5
    assert len(list(tmp_path.iterdir())) == 4
    reader.leave()


def test_the_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new" / "metrics")
    folder.write(counted(1))
    assert (tmp_path / "new" / "metrics").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "new" / "metrics").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    folder.leave()


def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(counted(1))
    (file,) = tmp_path.glob("????????????????.json")
    inode = file.stat().st_ino
    folder.write(counted(1))
    assert file.stat().st_ino == inode
    folder.write(counted(2))
    assert file.stat().st_ino != inode
    folder.leave()


# What all of them import is imported once. Then each counts to a number and ends by itself, or by a signal that can't be caught.
WORKERS = """
import os, signal, sys
from pathlib import Path
from app.flask_simulcast.ops.figures import Figures
from app.flask_simulcast.ops.folder import Folder
path, rounds, at_once, to = Path(sys.argv[1]), *map(int, sys.argv[2:])

def work(is_killed):
    try:
        folder = Folder(path)
        for number in range(1, to + 1):
            folder.write(Figures({"n": {"": number}}))
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        folder.leave()
        os._exit(0)
    finally:
        os._exit(1)

for _ in range(rounds):
    workers = [os.fork() or work(is_killed=number % 2 == 0) for number in range(at_once)]
    ends = [os.waitpid(worker, 0)[1] for worker in workers]
    assert ends == [(signal.SIGKILL, 0)[number % 2] for number in range(at_once)], ends
"""


def test_many_workers_that_come_go_and_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    """Each has written its last number when it ends; readers at the same time never see a sum fall."""
    here = Folder(tmp_path)
    here.write(counted(0))
    falls: list[tuple[int, int]] = []
    is_over = threading.Event()

    def watch(folder: Folder) -> None:
        seen = 0
        while not is_over.is_set():
            now = folder.read().figures.count("n")
            if now < seen:
                falls.append((seen, now))
            seen = now

    readers = [threading.Thread(target=watch, args=(Folder(tmp_path),)) for _ in range(3)]
    for reader in readers:
        reader.start()
    rounds, at_once, to = 4, 6, 300
    try:
        arguments = [str(number) for number in (rounds, at_once, to)]
        subprocess.run(
            [sys.executable, "-c", WORKERS, str(tmp_path), *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": PATHS},
            check=True,
            timeout=60,
        )
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert not falls
    machine = here.read()
    assert machine.figures.count("n") == rounds * at_once * to
    assert machine.workers == 1
    here.read()
    assert len(list(tmp_path.iterdir())) == 4, "two files of each that lives, and two of all"
    here.leave()
