"""docs/existing-app.md: the app under gthread and its streams under gevent, behind one nginx."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.page import Page, program
from tests.docs.reader import app_reader
from tests.tools.clients import SSEClient
from tests.tools.require import require
from tests.tools.serving import free_port, wait_until

PAGE = Page("docs/existing-app.md")
APP = PAGE.take("Streams in a process of their own", "python")
SERVE_APP = PAGE.take("Streams in a process of their own", "sh")
SERVE_STREAMS = PAGE.take("Streams in a process of their own", "sh")
NGINX = PAGE.take("Streams in a process of their own", "nginx")
PSYCOPG2 = PAGE.take_untried("Database drivers", "python")
POOL = PAGE.take("Pool sizes", "python")

# A worker says by which process a request was answered.
WHERE = """
import os, sys

@app.after_request
def say(response):
    response.headers["Worker"] = "gevent" if "gevent.monkey" in sys.modules and sys.modules["gevent.monkey"].is_module_patched("socket") else "threads"
    return response
"""

# A stream with a snapshot; there is one connection for all of them.
ROWS = """
from flask_sqlalchemy import SQLAlchemy

app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
db = SQLAlchemy(app)

def all_rows():
    return [db.session.scalar(db.text("SELECT 7"))]

@app.get("/rows")
def rows():
    db.session.execute(db.text("SELECT 1")).all()
    return simulcast.sse("rows", snapshot=all_rows)
"""


@contextlib.contextmanager
def nginx_with(locations: str, folder: Path) -> Iterator[int]:
    """nginx with these locations in a server block and nothing else; its port."""
    binary = require("nginx", shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
    port = free_port()
    scratch = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{scratch}server {{\nlisten 127.0.0.1:{port};\n{locations}\n}}\n}}\n"
    )
    process = subprocess.Popen([binary, "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")])
    try:
        wait_until(lambda: process.poll() is not None or (folder / "nginx.pid").exists(), 10, "nginx to start")
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_app_under_threads_publishes_to_streams_of_the_other_process(tmp_path: Path) -> None:
    files = {"app": program(APP, POOL) + WHERE}
    with app_reader(tmp_path, **files) as reader, app_reader(tmp_path / "streams", **files) as other:
        other.folder = reader.folder  # the same code and the same instance folder
        ports = {"127.0.0.1:8000": f"127.0.0.1:{reader.port}", "127.0.0.1:8001": f"127.0.0.1:{other.port}"}
        streams = SERVE_STREAMS.replaced({"127.0.0.1:8001": f"127.0.0.1:{other.port}"})
        with (
            reader.serving(SERVE_APP),
            other.serving(streams),
            nginx_with(NGINX.replaced(ports).text, tmp_path) as port,
            SSEClient(port, "/live/orders") as client,
        ):
            client.until("connected")
            answer = httpx.post(f"http://127.0.0.1:{port}/orders", json={"id": 7}, timeout=10)
            assert (answer.status_code, answer.headers["worker"]) == (201, "threads")
            assert client.until("created").json == {"id": 7}
            assert client.headers["worker"] == "gevent"


@pytest.mark.parametrize("server", ["gthread", "gevent"])
def test_streams_hold_no_connection_of_the_pool(server: str, tmp_path: Path) -> None:
    one = POOL.replaced({'"pool_size": 20': '"pool_size": 1', '"pool_timeout": 5': '"pool_timeout": 1'})
    command = SERVE_APP.replaced({"-k gthread --threads 8": f"-k {server} --threads 8"})
    with (
        app_reader(tmp_path, app=program(APP, one) + ROWS) as reader,
        reader.serving(command) as app,
        contextlib.ExitStack() as streams,
    ):
        clients = [streams.enter_context(SSEClient(app.port, "/rows")) for _ in range(4)]
        assert [client.until("snapshot").json for client in clients] == [[7]] * 4


def test_function_for_psycopg2_is_the_one_that_the_driver_is_tried_with() -> None:
    assert PSYCOPG2.text.rstrip().endswith("psycopg2.extensions.set_wait_callback(wait)")
