"""Extensions and tools that an app has beside this one: as the last table of docs/existing-app.md says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.tools.clients import SSEClient
from tests.tools.redis_server import Redis
from tests.tools.serving import ROOT, Server, serve, wait_until

CODINGS = {"Accept-Encoding": "gzip, br, zstd"}


@contextlib.contextmanager
def app_with(neighbour: str, folder: Path) -> Iterator[Server]:
    app = "tests.neighbours.app:app"
    with serve(folder, app=app, NEIGHBOUR=neighbour, config=None, broker_url=log_in(folder)) as server:
        yield server


def log_in(folder: Path) -> str:
    return f"sqlite:///{folder}/simulcast.db"


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def order(server: Server, data: object) -> None:
    assert httpx.post(url(server, "/orders"), json=data, timeout=10).status_code == 201


def test_flask_login_lets_in_and_its_logout_ends_the_streams_until_the_next_login(tmp_path: Path) -> None:
    with app_with("login", tmp_path) as server, httpx.Client(base_url=url(server, ""), timeout=10) as browser:
        assert browser.get("/mine").status_code == 401
        for number in range(2):
            browser.post("/login").raise_for_status()
            cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
            with SSEClient(server.port, "/mine", headers=cookie) as client:
                client.until("connected")
                order(server, number)
                assert client.until("message").json == number
                browser.post("/logout").raise_for_status()
                assert client.until("closed").json == {"reason": "revoked", "reconnect": False}


def test_flask_compress_leaves_streams_alone_and_holds_rows_back_unless_told(tmp_path: Path) -> None:
    with app_with("compress", tmp_path / "all") as server:
        for path in ("/sse", "/lines", "/written"):
            with httpx.stream("GET", url(server, path), headers=CODINGS, timeout=10) as answer:
                assert "content-encoding" not in answer.headers
        assert seconds_to_first_row(server) > 0.9
    with app_with("compress rows only", tmp_path / "rows") as server:
        assert seconds_to_first_row(server) < 0.9


def seconds_to_first_row(server: Server) -> float:
    began = time.monotonic()
    with httpx.stream("GET", url(server, "/rows"), headers=CODINGS, timeout=10) as answer:
        next(answer.iter_raw())
        return time.monotonic() - began


def test_flask_talisman_adds_its_headers_and_redirects_without_https(tmp_path: Path) -> None:
    with app_with("talisman", tmp_path) as server:
        assert httpx.get(url(server, "/sse"), timeout=10).status_code == 302
        with SSEClient(server.port, "/sse", headers={"X-Forwarded-Proto": "https"}) as client:
            client.until("connected")
            assert "default-src 'self'" in client.headers["content-security-policy"]


@pytest.mark.parametrize(("tool", "bug"), [("sentry", "broken event"), ("opentelemetry", "broken ERROR")])
def test_tracing_tells_of_bugs_and_not_of_clients_that_leave(tool: str, bug: str, tmp_path: Path) -> None:
    with app_with(tool, tmp_path) as server:
        with SSEClient(server.port, "/sse") as client:
            client.until("connected")
            wait_until(lambda: "TOLD sse" in server.log, 10, "the end of its transaction, while the stream is open")
        assert httpx.get(url(server, "/written"), timeout=10).text.endswith("data: [DONE]\n\n")
        with httpx.stream("GET", url(server, "/written"), timeout=10):
            pass  # it leaves at once
        httpx.get(url(server, "/broken"), timeout=10)
        wait_until(lambda: server.log.count("TOLD written") == 2 and f"TOLD {bug}" in server.log, 10, "all of it")
        told = [line for line in server.log.splitlines() if "TOLD" in line]
        assert not [line for line in told if "broken" not in line and (" event" in line or "ERROR" in line)], told


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_celery_task_publishes_in_every_pool(pool: str, tmp_path: Path) -> None:
    redis = Redis(tmp_path / "redis", keeps=False)
    redis.start()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{redis.port}/0",
        "SIMULCAST_BROKER_URL": log_in(tmp_path),
    }
    celery = [sys.executable, "-m", "celery", "-A", "tests.neighbours.tasks", "worker", "-c", "2", "-P", pool]
    ship = "from tests.neighbours.tasks import ship; [ship.delay(number) for number in range(6)]"
    try:
        with app_with("celery", tmp_path) as server, SSEClient(server.port, "/sse") as client:
            client.until("connected")
            with (tmp_path / "celery.log").open("wb") as output:
                worker = subprocess.Popen(celery, env=environment, cwd=tmp_path, stdout=output, stderr=output)
            try:
                subprocess.run([sys.executable, "-c", ship], env=environment, cwd=tmp_path, check=True)
                shipped = {client.until("message").json["shipped"] for _ in range(6)}
                assert shipped == set(range(6))
            finally:
                worker.terminate()
                worker.wait(20)
    finally:
        redis.stop()
