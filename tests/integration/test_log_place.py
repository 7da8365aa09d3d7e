"""Friction 7: what publishes from a shell, in whatever folder, reaches the listeners, or fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.clients import SSEClient
from tests.tools.serving import ROOT, serve, wait_until

APP = """
import os
from flask import Flask
from app.flask_simulcast import Simulcast

app = Flask(__name__)
app.config["SIMULCAST_BROKER_URL"] = os.environ.get("SIMULCAST_BROKER_URL")
simulcast = Simulcast(app)

@app.get("/stream")
def stream():
    return simulcast.sse("a")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An app of one's own, in a folder of its own."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop.py").write_text(APP)
    return tmp_path / "shop"


def path_of(shop: Path) -> str:
    return f"{shop}{os.pathsep}{ROOT}"


def flask(folder: Path, app: str, *arguments: str, path: str = str(ROOT), typed: str = "") -> tuple[int, str]:
    """A command at a prompt in some folder: its status, and all that it says."""
    folder.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")} | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", app, *arguments],
        cwd=folder,
        env=environment,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_a_shell_in_another_folder_publishes_to_the_listeners_of_the_server(shop: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "server", workers=2, app="shop:app", PYTHONPATH=path_of(shop)) as server:
        with SSEClient(server.port, "/stream") as client:
            client.until("connected")
            typed = 'from shop import simulcast; simulcast.publish("a", "from a shell")\n'
            status, said = flask(tmp_path / "home", "shop", "shell", path=path_of(shop), typed=typed)
            assert status == 0, said
            assert client.until("message").json == "from a shell"
        assert (shop / "instance" / "simulcast.db").exists()
        assert (shop / "instance").stat().st_mode & 0o777 == 0o700
        assert {file.name for file in (tmp_path / "server").iterdir()} == {"server.log"}
    assert list((tmp_path / "home").iterdir()) == []


def test_a_log_that_an_earlier_version_left_in_the_working_directory_goes_on(shop: Path, tmp_path: Path) -> None:
    """With a warning that says how to end it; moved as it says, it goes on at the new place, and nothing is said."""
    folder, environment = tmp_path / "server", {"PYTHONPATH": path_of(shop)}
    old = folder / "instance"
    with serve(folder, app="shop:app", broker_url=f"sqlite:///{old}/simulcast.db", **environment) as server:
        with SSEClient(server.port, "/stream") as client:
            first = client.until("connected").id
        flask(tmp_path, "shop", "shell", path=path_of(shop))  # it has no log of its own yet, and makes none
    assert not (shop / "instance").exists()
    for is_moved in (False, True):
        if is_moved:
            shutil.move(old, shop / "instance")
        with serve(folder, workers=2, app="shop:app", **environment) as server:
            with SSEClient(server.port, "/stream", last_event_id=first) as client:
                assert client.until("connected").id == first, "no gap: it is the same log"
            told = 0 if is_moved else 2
            wait_until(lambda told=told, server=server: server.log.count("Stop all that use it and move it") == told)
        assert (shop / "instance" / "simulcast.db").exists() == is_moved
        assert old.exists() != is_moved


def test_a_command_of_the_service_in_another_folder_fails_and_makes_nothing(tmp_path: Path) -> None:
    """Its instance folder is in the working directory, so there is another one in each folder."""
    with serve(tmp_path / "server", workers=1) as server:
        typed = 'from app.extensions import simulcast; print(simulcast.publish("a", 1).channel)\n'
        status, said = flask(tmp_path / "home", "wsgi", "shell", typed=typed)
        assert f"There is no log at {tmp_path}/home/instance/simulcast.db" in said, (status, said)
        assert flask(tmp_path / "home", "wsgi", "routes")[0] == 0
        assert list((tmp_path / "home").iterdir()) == []
        server.publish("a", "makes the log")
        status, said = flask(server.folder, "wsgi", "shell", typed=typed)
        assert ">>> a\n" in said, (status, said)
