"""``flask simulcast …`` in processes of their own, beside a server with two workers, on its file or its Redis."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from flask import Flask

from app.flask_simulcast import Simulcast
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY, token
from tests.tools.serving import PATHS, ROOT, Server, free_port, serve, wait_until
from tests.tools.tiers import open_store


class Site(NamedTuple):
    """A server, and an app on the same log, for commands in this process."""

    server: Server
    url: str
    app: Flask

    def run(self, *arguments: str) -> Result:
        return self.app.test_cli_runner().invoke(args=["simulcast", *arguments])

    def said(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout

    def objects(self, *arguments: str) -> list[Any]:
        return [json.loads(line) for line in self.said(*arguments, "--json").splitlines()]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as an operator types it, in the server's folder."""
        return start(self.server.folder, f"{ROOT}/wsgi.py", *arguments, SIMULCAST_BROKER_URL=self.url)


def start(folder: Path, app: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """``flask --app … simulcast …`` as a process."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")} | {"PYTHONPATH": PATHS}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", app, "simulcast", *arguments],
        cwd=folder,
        env=given | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    app = Flask(__name__, instance_path=str(folder))
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(open_store(request.param, folder)).url
        app.config["SIMULCAST_BROKER_URL"] = url
        Simulcast(app)
        options = {"workers": 2, "broker_url": url, "jwt_key": JWT_KEY, "presence_channels": "room"}
        yield Site(stack.enter_context(serve(folder / "server", **options)), url, app)


@contextlib.contextmanager
def listener(site: Site, user: str, channel: str) -> Iterator[SSEClient]:
    path = f"/api/v1/stream?channel={channel}"
    with SSEClient(site.server.port, path, headers=token(user, subscribe=["*"])) as client:
        client.until("connected")
        yield client


def test_listen_follows_the_server_and_goes_on_where_it_was(site: Site) -> None:
    following = site.start("listen", "orders", "--json", "--last", "1")
    assert following.stdout is not None
    (before,) = site.server.publish("orders", "before")
    assert json.loads(following.stdout.readline())["id"] == before
    site.said("publish", "orders", '"by a command"')
    assert json.loads(following.stdout.readline())["data"] == "by a command"
    following.send_signal(signal.SIGINT)
    rest, told = following.communicate(timeout=10)
    assert (following.returncode, rest) == (0, "")
    position = told.removeprefix("Go on with --from ").strip()
    site.server.publish("orders", "meanwhile")
    again = site.run("listen", "orders", "--json", "--from", position, "--count", "1")
    assert json.loads(again.stdout)["data"] == "meanwhile"


def test_listeners_and_members_of_all_workers_are_listed_and_kicked(site: Site) -> None:
    with (
        listener(site, "ann", "room") as ann,
        listener(site, "bob", "room") as bob,
    ):
        wait_until(lambda: len(site.objects("listeners", "--channel", "room")) == 2)
        found = {one["user"]: one for one in site.objects("listeners")}
        assert found.keys() == {"ann", "bob"}
        assert {int(one["worker"].split(":")[1]) for one in found.values()} <= set(site.server.workers)
        assert [one["listener"] for one in site.objects("listeners", "--user", "ann")] == [found["ann"]["listener"]]
        assert [one["member"] for one in site.objects("members", "room")] == ["ann", "bob"]
        assert [one["listeners"] for one in site.objects("channels", "room")] == [2]
        assert site.said("listeners").splitlines()[0].split()[:3] == ["LISTENER", "USER", "CHANNELS"]
        assert site.said("kick", found["ann"]["listener"]) == ""
        assert ann.until("closed").json == {"reason": "kicked", "reconnect": True}
        assert site.said("revoke", "--user", "bob") == ""
        assert bob.until("closed").json == {"reason": "revoked", "reconnect": False}


def test_publish_reaches_a_client_of_the_server(site: Site) -> None:
    with listener(site, "", "news") as client:
        position = site.start("publish", "news", '{"id": 7}', "--type", "created").communicate(timeout=20)[0].strip()
        event = client.until("created")
        assert (event.position, event.json) == (position, {"id": 7})


# Without a server


OWN = """
from flask import Flask
from app.flask_simulcast import Simulcast

app = Flask(__name__)
app.config.from_prefixed_env("TRIED")
simulcast = Simulcast(app)

@app.get("/orders/stream")
def orders():
    return simulcast.sse("orders")

@app.get("/plain")
def plain():
    return "plain"
"""


def test_run_is_flasks_own_server_and_says_what_to_paste(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(OWN)
    port = free_port()
    running = start(tmp_path, "shop", "run", "--port", str(port))
    assert running.stdout is not None
    try:
        lines = [running.stdout.readline().strip() for _ in range(4)]
        assert lines[1] == f"curl -N 'http://127.0.0.1:{port}/orders/stream'"
        assert lines[3] == """flask --app shop simulcast publish CHANNEL '{"hello": "world"}'"""
        wait_until(lambda: is_open(port))
        with SSEClient(port, "/orders/stream") as client:
            client.until("connected")
            done = start(tmp_path, "shop", *shlex.split(lines[3].replace("CHANNEL", "orders"))[4:])
            assert done.communicate(timeout=20)[1] == ""
            assert client.until("message").json == {"hello": "world"}
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "environment", "why"),
    [
        (["run", "--port", "x"], {}, "'x' is not a valid integer"),
        (["channels"], {"TRIED_SIMULCAST_BROKER_URL": "bogus://x"}, "names no broker"),
        (["run"], {"TRIED_SIMULCAST_BROKER_URL": "bogus://x"}, "names no broker"),
    ],
)
def test_what_flask_itself_would_refuse_is_told_without_a_traceback(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], why: str
) -> None:
    (tmp_path / "shop.py").write_text(OWN)
    done = start(tmp_path, "shop", *arguments, **environment)
    printed, told = done.communicate(timeout=20)
    assert (done.returncode, printed) == (2, "")
    assert why in told
    assert "Traceback" not in told


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
