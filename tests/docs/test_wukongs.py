"""docs/wukongs.md: an agent with the token that the page makes, and commands to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from app.identity.tokens import mint
from tests.docs.likeness import assert_alike
from tests.docs.page import Page
from tests.docs.reader import Reader, service_reader
from tests.docs.test_start import RUN_WITH_TOKENS
from tests.tools.serving import Server
from tests.tools.sockets import JSONSocket

PAGE = Page("docs/wukongs.md")
WATCH = PAGE.take("By RPC", "python")
AGENT = PAGE.take("The agent", "sh")
TOKEN = PAGE.take("Its token", "sh")
CONSOLE = PAGE.take("The console", "jsonl")
COMMAND = PAGE.take("Commands", "sh")
ANSWER = PAGE.take("Commands", "json")

RPC = {"SIMULCAST_RPC": "true", "SIMULCAST_HTTP2": "true"}


class Watched(NamedTuple):
    reader: Reader
    server: Server
    operator: str


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The service, and the agent of web-7 as the page starts it."""
    with service_reader(tmp_path_factory.mktemp("wukongs")) as reader, reader.serving(RUN_WITH_TOKENS, **RPC) as server:
        key = (reader.folder / "instance" / "jwt.key").read_text().strip()
        token = reader.run(TOKEN, SIMULCAST_JWT_KEY=key).strip()
        agent = AGENT.replaced({"…": token, "https://simulcast.example": f"http://127.0.0.1:{server.port}"})
        with reader.running(agent) as running:
            running.wait_for("Listens for commands.")
            operator = mint(key, seconds=600, subscribe=["wukong:*"], publish=["wukong-agent.web-7"])
            yield Watched(reader, server, operator)


def test_command_by_curl_is_answered_as_shown(watched: Watched) -> None:
    url = f"http://127.0.0.1:{watched.server.port}"
    answer = json.loads(watched.reader.run(COMMAND, URL=url, TOKEN=watched.operator))
    process = answer["output"]["processes"][0]
    shown = json.loads(ANSWER.text)
    shown["output"]["processes"][0]["name"] = process["name"]
    assert_alike(shown, answer)


def test_a_program_watches_by_rpc(watched: Watched) -> None:
    at = WATCH.replaced({"127.0.0.1:8000": f"127.0.0.1:{watched.server.port}"})
    (watched.reader.folder / "watch.py").write_text(at.text)
    with watched.reader.running("python watch.py", TOKEN=watched.operator) as watching:
        watching.wait_for("web-7 online {")


def test_console_says_what_is_shown(watched: Watched) -> None:
    command, status, result = (json.loads(line) for line in CONSOLE.lines)
    bearer = {"Authorization": f"Bearer {watched.operator}"}
    with JSONSocket(watched.server, "/ws/wukong/web-7", bearer) as console:
        console.send(command)
        real: dict[str, dict[str, Any]] = {}
        while len(real) < 2:
            (message,) = console.take(1, "status", "reply")
            real[message["type"]] = message
    figures = real["status"]["data"]["data"]  # more of them than the page shows
    real["status"]["data"]["data"] = {name: figures[name] for name in status["data"]["data"]}
    assert_alike(status, real["status"])
    assert_alike(result, real["reply"])
