"""docs/chat.md: by curl, with a key that is the server's (newcomer friction 25), and by WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from app.identity.tokens import mint
from tests.docs.likeness import assert_alike
from tests.docs.page import Page
from tests.docs.reader import Reader, service_reader
from tests.docs.test_start import RUN_WITH_TOKENS
from tests.tools.serving import Server
from tests.tools.sockets import JSONSocket

PAGE = Page("docs/chat.md")
COME_IN = PAGE.take("Chat", "sh")
SPEAK = PAGE.take("Chat", "sh")
KEEP_A_WEEK = PAGE.take("What a stream says", "sh")
MESSAGES = PAGE.take("By WebSocket", "jsonl")


class Service(NamedTuple):
    reader: Reader
    server: Server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Started as docs/start.md says, to which the page sends its reader."""
    with service_reader(tmp_path_factory.mktemp("chat")) as reader, reader.serving(RUN_WITH_TOKENS) as server:
        yield Service(reader, server)


def test_what_ann_says_comes_to_her_curl(service: Service) -> None:
    come_in_and_tell = f"{COME_IN.text}\necho $TOKEN > token"
    with service.reader.running(come_in_and_tell) as terminal:
        terminal.wait_for("event: history")
        token = (service.reader.folder / "token").read_text().strip()
        service.reader.run(SPEAK, TOKEN=token)
        terminal.wait_for('"message":"Hello!"')


def test_a_token_of_another_key_is_refused(service: Service) -> None:
    """The page says that the key must be the server's."""
    token = mint("another key, of more than 32 bytes", seconds=60, user="ann", publish=["chat.*"])
    answer = service.reader.run(SPEAK, TOKEN=token)
    assert json.loads(answer)["error"]["code"] == "token_signature"


def test_history_of_a_week_is_a_setting(service: Service) -> None:
    show = "from app import create_app; print(create_app().config['SIMULCAST_HISTORY_CHANNELS'])"
    shown = service.reader.run(f'{KEEP_A_WEEK.text}\n.venv/bin/python -c "{show}"')
    assert "604800" in shown
    assert "chatroom:" in shown


def test_messages_over_websocket_are_those_that_are_shown(service: Service) -> None:
    key = (service.reader.folder / "instance" / "jwt.key").read_text().strip()
    token = mint(key, seconds=60, user="ann", subscribe=["chat.*"], publish=["chat.*"])
    said, message, sent = (json.loads(line) for line in MESSAGES.lines)
    with JSONSocket(service.server, "/ws/chat/lobby", {"Authorization": f"Bearer {token}"}) as socket:
        socket.send(said)
        real = {answer["type"]: answer for answer in socket.take(2, "message", "reply")}
    assert_alike(message, real["message"])
    assert_alike(sent, real["reply"])
