"""The AsyncAPI document, read by the reference parser, npm's @asyncapi/parser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from app.features.hub_api.asyncapi import document
from app.features.hub_api.ws.commands import AnyCommand
from app.features.hub_api.ws.messages import AnyMessage
from tests.tools.require import require

FOLDER = Path(__file__).parent
SERVERS = {"http": {"host": "a.example", "protocol": "https"}, "ws": {"host": "a.example", "protocol": "wss"}}


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    return document.build(version="1.2.3", cookie="token") | {"servers": SERVERS}


def wrongs(*documents: dict[str, Any]) -> list[list[str]]:
    """What the parser finds wrong with each: errors and warnings."""
    node = require("node", shutil.which("node"))
    require("@asyncapi/parser", next(map(str, FOLDER.glob("node_modules/@asyncapi/parser")), None))
    lines = "".join(json.dumps(each) + "\n" for each in documents)
    run = subprocess.run(
        [node, str(FOLDER / "asyncapi.mjs")], input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_parser_takes_it_and_finds_planted_faults(built: dict[str, Any]) -> None:
    wrong_action = built | {"operations": {"listen": built["operations"]["listen"] | {"action": "sends"}}}
    no_schemas = built | {"components": {**built["components"], "schemas": {}}}
    found, action, schemas = wrongs(built, wrong_action, no_schemas)
    assert found == []
    assert any("operations.listen.action" in each for each in action)
    assert any("invalid-ref" in each for each in schemas)


def test_every_message_of_the_websocket_is_in_it(built: dict[str, Any]) -> None:
    tags = {each.__struct_config__.tag for each in (*get_args(AnyCommand), *get_args(AnyMessage))}
    assert set(built["channels"]["hub"]["messages"]) == tags
    used = {
        message["$ref"].rpartition("/")[2]
        for name in ("command", "converse")
        for operation in (built["operations"][name], built["operations"][name].get("reply", {}))
        for message in operation.get("messages", [])
    }
    assert used == tags


def test_every_schema_has_a_plain_name(built: dict[str, Any]) -> None:
    """Two types with one name would have the names of their modules before it."""
    assert all(name.isidentifier() for name in built["components"]["schemas"])
