"""docs/commands.md: each command, pasted in the order of the page beside the page's own server."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.flask_simulcast.cli.group import Commands
from tests.docs.page import Block, Page
from tests.docs.reader import Reader, app_reader
from tests.tools.clients import SSEClient
from tests.tools.serving import wait_until

PAGE = Page("docs/commands.md")
APP = PAGE.take("Commands", "python")
RUN, RUN_SAYS = PAGE.take("A server to try", "sh"), PAGE.take("A server to try", "text")
PUBLISH, PUBLISH_SAYS = PAGE.take("Publish", "sh"), PAGE.take("Publish", "text")
LISTEN, LISTEN_SAYS = PAGE.take("Follow", "sh"), PAGE.take("Follow", "text")
END_SAYS = PAGE.take("Follow", "text")
JSON, JSON_SAYS = PAGE.take("Follow", "sh"), PAGE.take("Follow", "jsonl")
CHANNELS, CHANNELS_SAYS = PAGE.take("What there is", "sh"), PAGE.take("What there is", "text")
HISTORY, HISTORY_SAYS = PAGE.take("What there is", "sh"), PAGE.take("What there is", "text")
LISTENERS, LISTENERS_SAYS = PAGE.take("Who is there", "sh"), PAGE.take("Who is there", "text")
MEMBERS, MEMBERS_SAYS = PAGE.take("Who is there", "sh"), PAGE.take("Who is there", "text")
KICK = PAGE.take("End a connection", "sh")
RUNS, RUNS_SAYS = PAGE.take("Runs", "sh"), PAGE.take("Runs", "text")
REFUSED, REFUSED_SAYS = PAGE.take("When a command can't", "sh"), PAGE.take("When a command can't", "text")

# What differs from one day, machine and run to the next.
VARYING = {
    r"\d{13}-\d+-[0-9a-f]{8}": "POSITION",
    r"\S+:\d+:[0-9a-f]{8}\b": "WORKER",
    r"\b[0-9a-f]{16}\b": "ID",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "TIME",
    r'"time":\d{13}': '"time":MS',
    r"[\d.e-]+/s": "RATE",
    r"\b\d+ (s|min)\b": "AGE",
    r" +": " ",
}


def shape_of(text: str) -> str:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text.strip()


def test_table_of_the_page_has_every_command() -> None:
    text = (Path(__file__).parents[2] / PAGE.path).read_text()
    named = re.findall(r"^\| \[`(\w+)", text, re.MULTILINE)
    assert sorted(named) == sorted([*Commands().list_commands(None), "token"])  # type: ignore[arg-type]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with app_reader(tmp_path, app=APP.text) as reader:
        yield reader


def test_commands_do_what_the_page_says(reader: Reader) -> None:
    def says(block: Block, expected: Block) -> None:
        assert shape_of(reader.run(block)) == shape_of(expected.text), expected.place

    port = str(reader.port)
    with reader.running(RUN.replaced({"8000": port})) as server:
        server.wait_for("Running on")
        assert server.output.startswith(RUN_SAYS.replaced({"8000": port}).text)
        says(PUBLISH, PUBLISH_SAYS)
        with reader.running(LISTEN) as following:
            following.wait_for('"late"')
            following.shell.send_signal(signal.SIGINT)
            wait_until(lambda: following.has_ended)
            assert following.shell.returncode == 0
            assert shape_of(following.output) == shape_of(LISTEN_SAYS.text + END_SAYS.text)
        says(JSON, JSON_SAYS)
        streams = ("/orders/stream", "/lobby/ann", "/lobby/bob")
        orders, ann, bob = (SSEClient(reader.port, path) for path in streams)
        with orders, ann, bob:
            for client in (orders, ann, bob):
                client.until("connected")
            wait_until(lambda: "bob" in reader.run(MEMBERS))
            says(CHANNELS, CHANNELS_SAYS)
            says(HISTORY, HISTORY_SAYS)
            listed = sorted(shape_of(reader.run(LISTENERS)).splitlines()[1:])  # ids are random, and so is their order
            assert listed == sorted(shape_of(LISTENERS_SAYS.text).splitlines()[1:])
            says(MEMBERS, MEMBERS_SAYS)
            reader.run(KICK)
            assert ann.until("closed").json == {"reason": "kicked", "reconnect": True}
            assert bob.until("closed").json == {"reason": "revoked", "reconnect": False}
        says(RUNS.replaced({"8000": port}), RUNS_SAYS)
        says(REFUSED, REFUSED_SAYS)
