"""A conversation: a table of handlers, and one answer for each command."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from app.flask_simulcast import Connection, SimulcastError
from app.web.conversation import Command, Commands, Done, answer, answerer, pong
from app.web.errors import ApiError


class Ping(Command, tag="ping"):
    """A command without arguments."""


class Fail(Command, tag="fail"):
    """A command that fails."""

    how: str


class Later(Command, tag="later"):
    """A command that is answered later."""


COMMANDS: Commands[Ping | Fail | Later] = Commands(Ping | Fail | Later, "docs/some.md")


class Unavailable(SimulcastError):
    status = 503
    code = "unavailable"


class Client:
    """The connection, as a handler has it: what the client says, and what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, text: str) -> None:
        self.told.append(json.loads(text))


def fail(command: Fail) -> Done:
    match command.how:
        case "busy":
            raise ApiError(429, "busy", "Wait.", {"Retry-After": "3"})
        case "away":
            raise Unavailable("Not now.")
        case "bug":
            raise SimulcastError("A bug.")
    return Done()


def talk(*said: str) -> list[dict[str, Any]]:
    """Return the messages to a client that says this."""
    client = Client()
    take = answerer(cast("Connection", client), COMMANDS, {Ping: pong, Fail: fail, Later: lambda _: None})
    for text in said:
        take(text)
    return client.told


def test_each_command_is_answered_with_its_id() -> None:
    ping, done = talk('{"type":"ping","id":7}', '{"type":"fail","id":"a","how":""}')
    assert ping == {"type": "reply", "id": 7, "result": {"time": ping["result"]["time"]}}
    assert done == {"type": "reply", "id": "a", "result": {}}


def test_what_is_answered_later_is_not_answered_now() -> None:
    assert talk('{"type":"later","id":1}') == []


def test_an_error_is_told_and_the_next_command_answered() -> None:
    busy, away, ping = talk(
        '{"type":"fail","id":1,"how":"busy"}', '{"type":"fail","id":2,"how":"away"}', '{"type":"ping","id":3}'
    )
    assert busy == {"type": "error", "id": 1, "code": "busy", "message": "Wait.", "retry_after_seconds": 3}
    assert away == {"type": "error", "id": 2, "code": "unavailable", "message": "Not now."}
    assert ping["type"] == "reply"


def test_a_bug_is_not_told() -> None:
    with pytest.raises(SimulcastError, match="A bug"):
        talk('{"type":"fail","id":1,"how":"bug"}')


@pytest.mark.parametrize(
    ("text", "code", "id"),
    [
        ("{", "not_json", None),
        ('{"type":"ping"}', "invalid_command", None),
        ('{"type":"pong","id":4}', "invalid_command", 4),
        ('{"type":"ping","id":"\\ud83d"}', "invalid_command", None),
        ('{"type":"fail","id":5,"how":"\\ud83d"}', "invalid_command", 5),
    ],
)
def test_what_is_no_command_is_an_error_with_the_id_that_it_has(text: str, code: str, id: object) -> None:
    (error,) = talk(text)
    assert (error["type"], error["code"], error["id"]) == ("error", code, id)


def test_an_answer_is_said_before_what_follows_it() -> None:
    client = Client()
    for count, message in enumerate(('{"type":"ping","id":1}', "{"), 1):
        answer(cast("Connection", client), COMMANDS, {Ping: pong}, (), message)
        assert len(client.told) == count


def test_a_handler_gets_what_the_conversation_was_given() -> None:
    client = Client()
    take = answerer(cast("Connection", client), COMMANDS, {Ping: lambda room, _: room}, "kitchen")
    take('{"type":"ping","id":1}')
    assert client.told == [{"type": "reply", "id": 1, "result": "kitchen"}]
