"""Messages to commands: the type that each names, and what is said of one that is none."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.features.hub_api.ws import commands, messages, schema
from app.features.hub_api.ws.commands import COMMANDS
from app.web.conversation import BadCommandError, text_of
from app.web.errors import ApiError
from tests.tools.serving import ROOT

SCHEMA = json.loads((ROOT / "docs" / "websocket-hub.schema.json").read_text())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2000) | st.sampled_from(["a", "", "x y"]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
NAMES = ["channel", "channels", "position", "replay", "data", "event", "idempotency_key", "after", "limit", "more"]
TYPES = ["subscribe", "unsubscribe", "publish", "history", "presence", "ping"]


def read(**fields: Any) -> Any:
    return COMMANDS.read(json.dumps(fields))


def test_each_type_is_a_command() -> None:
    assert read(type="subscribe", id=1, channel="a", position="x") == commands.Subscribe(1, channel="a", position="x")
    assert read(type="subscribe", id=1, channels=["a", "b"]).names == ["a", "b"]
    assert read(type="unsubscribe", id="i", channel="a").names == ["a"]
    assert read(type="publish", id=1, channel="a", data=None) == commands.Publish(1, "a", None, "message", UNSET)
    assert read(type="history", id=1, channel="a") == commands.History(1, "a", "", 100)
    assert read(type="presence", id=1, channel="a", after="b", limit=1) == commands.Presence(1, "a", "b", 1)
    assert read(type="ping", id=-1) == commands.Ping(-1)


@pytest.mark.parametrize("fields", [{}, {"channel": "a", "channels": ["a"]}])
def test_channels_are_named_in_one_way(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="either channel or channels"):
        _ = read(type="subscribe", id=1, **fields).names


@pytest.mark.parametrize(
    ("text", "code", "id"),
    [
        ("", "not_json", None),
        ("{", "not_json", None),
        ("NaN", "not_json", None),
        ('{"type":"publish","id":1,"channel":"a","data":' + "[" * 100_000, "not_json", None),
        ("1", "invalid_command", None),
        ("[" * 50_000, "invalid_command", None),
        ('{"id":1.5,"type":"ping"}', "invalid_command", None),
        ('{"id":null,"type":"ping"}', "invalid_command", None),
        ('{"id":9,"type":"pong"}', "invalid_command", 9),
        ('{"id":"x","type":"history"}', "invalid_command", "x"),
        ('{"id":"x","type":"history","channel":"a","limit":1001}', "invalid_command", "x"),
    ],
)
def test_what_is_no_command_keeps_its_id(text: str, code: str, id: object) -> None:
    with pytest.raises(BadCommandError) as raised:
        COMMANDS.read(text)
    assert (raised.value.code, raised.value.id) == (code, id)


def test_half_a_surrogate_pair_is_taken_as_it_is() -> None:
    assert COMMANDS.read('{"type":"publish","id":1,"channel":"a","data":"\\ud83d"}').data == "\ud83d"  # type: ignore[union-attr]


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_what_the_schema_refuses_is_no_command(type: str, fields: dict[str, Any]) -> None:
    """What it takes may still be refused: names of channels are the extension's affair."""
    message = {"type": type, "id": 1, **fields}
    command = jsonschema_rs.validator_for({"$ref": "#/$defs/Command", "$defs": SCHEMA["$defs"]})
    try:
        read(**message)
    except BadCommandError:
        assert not command.is_valid(message)


@pytest.mark.parametrize("field", ["id", "channel", "event", "idempotency_key"])
def test_half_a_surrogate_pair_stands_nowhere_else(field: str) -> None:
    """An answer with it could not be sent."""
    text = {"type": "publish", "id": "i", "channel": "a", "data": 1, field: "\ud83d"}
    with pytest.raises(BadCommandError) as raised:
        COMMANDS.read(json.dumps(text))
    assert raised.value.id == (None if field == "id" else "i")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.builds(
        json.dumps,
        st.fixed_dictionaries(
            {"type": st.sampled_from(TYPES) | ANYTHING, "id": ANYTHING},
            optional=dict.fromkeys(NAMES, ANYTHING),
        )
        | ANYTHING,
    )
)
def test_whatever_is_sent_is_a_command_or_an_error_that_can_be_sent(text: str) -> None:
    try:
        command = COMMANDS.read(text)
        text_of(messages.Reply(command.id, None))
    except BadCommandError as error:
        text_of(messages.Error(error.id, error.code, str(error)))


@pytest.mark.parametrize("id", ["9" * 20, "9" * 5000, "-1e3", "1.0"])
def test_an_id_that_no_answer_could_carry_is_none(id: str) -> None:
    with pytest.raises(BadCommandError) as raised:
        COMMANDS.read(f'{{"type":"ping","id":{id}}}')
    assert raised.value.id is None


def test_the_schema_is_the_one_of_the_types() -> None:
    assert schema.build() == SCHEMA, "run python -m app.features.hub_api.ws > docs/websocket-hub.schema.json"


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
