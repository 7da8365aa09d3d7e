"""examples/android against a real server: resume, the cache of a phone that is offline or restarted, tickets, a refusal."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.tools.relay import Relay
from tests.tools.require import require
from tests.tools.serving import ROOT, Server, serve, wait_until

EXAMPLE = ROOT / "examples/android"
JWT_KEY = "j" * 32
TOKEN = mint(JWT_KEY, user="ann", subscribe=["orders"], seconds=600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server"), jwt_key=JWT_KEY, anonymous_channels="", retry_ms=100) as server:
        yield server


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of the example, built by Maven."""
    require("mvn", shutil.which("mvn"))
    folder = tmp_path_factory.mktemp("android") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("target"))
    goals = ("compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath")
    subprocess.run(["mvn", "-q", "-B", *goals], cwd=folder, check=True, timeout=110)
    return f"{folder}/target/classes:{(folder / 'classpath').read_text()}"


@contextlib.contextmanager
def phone(classes: str, port: int, folder: Path, token: str = TOKEN) -> Iterator[Path]:
    """The example with a cache in this folder. Gives the file with its lines."""
    output = folder / f"lines-{len(list(folder.glob('lines-*')))}"
    command = ["java", "-cp", classes, "example.Main", f"http://127.0.0.1:{port}/", "orders", str(folder / "cache.db")]
    with output.open("wb") as file:
        process = subprocess.Popen(command, env=os.environ | {"TOKEN": token}, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield output
    finally:
        process.kill()
        process.wait(10)


def wait_for(output: Path, text: str) -> list[str]:
    wait_until(lambda: text in output.read_text(), 20, f"{text!r} in {output}")
    return output.read_text().splitlines()


def test_a_phone_sees_each_event_once_through_cuts_and_its_own_restart_and_has_them_offline(
    server: Server, classes: str, tmp_path: Path
) -> None:
    with Relay(server.port) as relay:
        with phone(classes, relay.port, tmp_path) as output:
            wait_for(output, "state live")
            server.publish("orders", 1, 2)
            wait_for(output, "event message 2")
            relay.block()
            wait_for(output, "state reconnecting")
            server.publish("orders", 3)
            relay.open()
            lines = wait_for(output, "event message 3")
        assert [line for line in lines if "message" in line] == [f"event message {n}" for n in (1, 2, 3)]
        server.publish("orders", 4)
        relay.block()
        with phone(classes, relay.port, tmp_path) as output:
            lines = wait_for(output, "state reconnecting")
            assert lines[:3] == [f"cached message {n}" for n in (1, 2, 3)], "offline, at once"
            relay.open()
            lines = wait_for(output, "event message 4")
        assert [line for line in lines if "message" in line][3:] == ["event message 4"]


def test_a_phone_whose_token_is_refused_stops(server: Server, classes: str, tmp_path: Path) -> None:
    with phone(classes, server.port, tmp_path, "wrong") as output:
        assert wait_for(output, "closed") == ["state closed http_401"]


def test_a_phone_asks_for_a_new_token_when_its_own_ends(server: Server, classes: str, tmp_path: Path) -> None:
    token = mint(JWT_KEY, user="ann", subscribe=["orders"], seconds=3)
    with phone(classes, server.port, tmp_path, token) as output:
        lines = wait_for(output, "closed")
    assert lines == ["state live ", "state reconnecting lost", "state closed http_401"]
