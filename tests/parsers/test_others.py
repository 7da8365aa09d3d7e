"""Clients of other authors, unchanged, on the same stream: what each sees through cuts is what was published, once each."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.fixtures import server_fixture
from tests.tools.relay import CuttingRelay
from tests.tools.require import require
from tests.tools.serving import Server, wait_until

FOLDER = Path(__file__).parent
LIBRARIES = ["eventsource", "reconnecting-eventsource", "event-source-polyfill", "@microsoft/fetch-event-source"]
# It counts an event from its line `id:` on, before the data has come: an event that is cut in its middle is lost.
CUT_SHORT = {"@microsoft/fetch-event-source"}
EVENTS = 400

server = server_fixture(retry_ms=100)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    require(request.param, next(map(str, FOLDER.glob(f"node_modules/{request.param}")), None))
    return str(request.param)


@pytest.fixture
def relay(server: Server) -> Iterator[CuttingRelay]:
    with CuttingRelay(server.port, random.Random(17), 6000) as relay:
        yield relay


def test_client_of_another_author_sees_each_event_once_in_order(
    server: Server, relay: CuttingRelay, library: str, tmp_path: Path
) -> None:
    node = require("node", shutil.which("node"))
    output, channel = tmp_path / "output", library.strip("@").replace("/", ".")
    url = f"http://127.0.0.1:{relay.port}/api/v1/stream?channel={channel}"
    with output.open("wb") as file:
        command = [node, str(FOLDER / "others.mjs"), library, url]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "connected" in output.read_text(), 20, "connected")
        for start in range(0, EVENTS, 20):
            server.publish(channel, *range(start, start + 20))
        wait_until(
            lambda: f"message {EVENTS - 1}\n" in output.read_text(), 30, f"the last event in\n{output.read_text()}"
        )
    finally:
        process.kill()
        process.wait(10)
    lines = [line for line in output.read_text().splitlines() if line.split() != ["connected"]]
    published = [f"message {n}" for n in range(EVENTS)]
    if library in CUT_SHORT:
        assert lines == [line for line in published if line in set(lines)], "once each, in order"
        assert len(lines) >= EVENTS - relay.cuts
    else:
        assert lines == published
    assert relay.cuts >= 2
