"""One line to production, in an app of one's own: ``gunicorn -c python:flask_simulcast.gunicorn app:app``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tools.clients import SSEClient
from tests.tools.serving import ROOT, Server, free_port, serve, wait_until

APP = """
import gc
import flask_simulcast
from flask import Flask

app = Flask(__name__)
simulcast = flask_simulcast.Simulcast(app)

@app.get("/stream")
def stream():
    return simulcast.sse("a")

@app.get("/version")
def version():
    return flask_simulcast.__version__

@app.get("/garbage")
def garbage():
    return {"is_collected": gc.isenabled(), "never_looked_at": gc.get_freeze_count()}
"""
CONFIG = "python:flask_simulcast.gunicorn"
HOOKS_ALONE = """
worker_class = "gevent"

def post_worker_init(worker):
    from flask_simulcast.gunicorn import post_worker_init
    post_worker_init(worker)
"""
WARNING = "gunicorn runs without Simulcast's hooks"
GONE_SECONDS = 2.5  # measured: 0.8 to 2.3 s
SLACK = 5


class Shop(NamedTuple):
    folder: Path

    def serving(self, config: str | None = CONFIG, arguments: str = ""):  # type: ignore[no-untyped-def]
        port = free_port()
        bind = f"-b 127.0.0.1:{port} --no-control-socket {arguments}"
        return serve(self.folder, app="app:app", config=config, port=port, GUNICORN_CMD_ARGS=bind)

    def upgrade(self, version: str) -> None:
        """Install another version of the package."""
        path = self.folder / "flask_simulcast" / "version.py"
        path.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', path.read_text()))

    def settings(self, *arguments: str, environment: str = "") -> dict[str, str]:
        """What gunicorn says that its settings are."""
        printed = subprocess.run(
            [sys.executable, "-m", "gunicorn", "--print-config", *arguments, "app:app"],
            cwd=self.folder,
            env=os.environ | {"GUNICORN_CMD_ARGS": environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return dict(re.findall(r"^(\w+) += (.*)$", printed, re.MULTILINE))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A folder with an app, and the package as a wheel lays it out."""
    packages = ROOT / "app" / "flask_simulcast"
    shutil.copytree(packages, tmp_path / "flask_simulcast", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "app.py").write_text(APP)
    return Shop(tmp_path)


def opened(server: Server) -> SSEClient:
    client = SSEClient(server.port, "/stream")
    client.until("connected")
    return client


@pytest.mark.parametrize("arguments", ["", "--preload", "-k gthread --threads 8"])
def test_workers_say_goodbye_on_hup_and_term_and_are_soon_gone(shop: Shop, arguments: str) -> None:
    with shop.serving(arguments=arguments) as server:
        (old,) = server.workers
        with opened(server) as client:
            shop.upgrade("99.0")
            began = time.monotonic()
            server.signal(signal.SIGHUP)
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            wait_until(
                lambda: server.workers and old not in server.workers, GONE_SECONDS * SLACK, "the old worker to go"
            )
            print(f"HUP: {time.monotonic() - began:.2f} s")
        is_new = server.request("GET", "/version")[2] == b"99.0"
        assert is_new == ("--preload" not in arguments), (
            "gunicorn's master keeps what it has imported; with --preload the app, too"
        )
        with opened(server) as client:
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            server.process.wait(GONE_SECONDS * SLACK)
            print(f"TERM: {time.monotonic() - began:.2f} s")
        assert WARNING not in server.log
        assert "Warning" not in server.log, "of gevent, about what was imported before it patched"


def test_collections_go_on_and_leave_out_the_app(shop: Shop) -> None:
    with shop.serving() as server:
        garbage = server.get_json("/garbage")
        assert garbage["is_collected"]
        assert garbage["never_looked_at"] > 50_000, "Flask, gevent and the app"


@pytest.mark.parametrize("arguments", ["", "-k gthread --threads 8 --graceful-timeout 1"])
def test_without_the_hooks_the_first_stream_warns_and_names_the_line(shop: Shop, arguments: str) -> None:
    """Friction 9: it took 31.7 s, and no word of it."""
    with shop.serving(config=None, arguments=arguments) as server:
        server.request("GET", "/version")
        assert WARNING not in server.log
        for _ in range(2):
            opened(server).close()
        assert server.log.count(WARNING) == 1
        assert f"gunicorn -c {CONFIG} app:app" in server.log


def test_with_the_hooks_alone_there_is_no_warning(shop: Shop) -> None:
    path = shop.folder / "hooks.conf.py"
    path.write_text(HOOKS_ALONE)
    with shop.serving(config=str(path)) as server:
        opened(server).close()
        assert WARNING not in server.log


def test_every_value_is_still_ones_own(shop: Shop) -> None:
    (shop.folder / "own.conf.py").write_text(
        "from flask_simulcast.gunicorn import *\n"
        "graceful_timeout = 7\nworkers = 3\n"
        "def post_worker_init(worker):\n    hooks.post_worker_init(worker)\n"
    )
    ours = shop.settings("-c", CONFIG)
    own = shop.settings(
        "-c", "own.conf.py", "--worker-connections", "77", environment="--keep-alive 9 --worker-connections 5"
    )
    assert (ours["worker_class"], ours["worker_connections"], ours["keepalive"]) == ("gevent", "11000", "2")
    assert "%(U)s" in ours["access_log_format"]
    assert "%(r)s" not in ours["access_log_format"]
    changed = {"config", "graceful_timeout", "workers", "worker_connections", "keepalive"}
    assert {name for name in own if own[name] != ours[name]} == changed
    assert (own["graceful_timeout"], own["workers"]) == ("7", "3")
    assert own["worker_connections"] == "77", "the command line goes before the environment"
    assert own["keepalive"] == "9", "the environment goes before the file"


def test_gunicorn_reads_it_before_anything_that_gevent_patches_late(shop: Shop) -> None:
    code = (
        "import sys, flask_simulcast.gunicorn; roots = {name.partition('.')[0] for name in sys.modules};"
        "print(sorted(roots & {'flask', 'werkzeug', 'gevent', 'gunicorn', 'socket', 'ssl', 'flask_sock', 'redis'}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=shop.folder, capture_output=True, text=True, check=True)
    assert printed.stdout == "[]\n"
