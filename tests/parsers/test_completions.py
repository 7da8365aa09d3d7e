"""Answers of one server, read by the clients that people have: npm's openai and ai, as they come."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, token
from tests.tools.require import require
from tests.tools.serving import Server

FOLDER = Path(__file__).parent
TEXT = "Hello, wörld: 🌍 goes on\n" + "and on " * 10
TOKENS = 26
# Is made for four seconds: time to leave, and to come back.
LONG = "and on " * 70

server = server_fixture(workers=2, jwt_key=JWT_KEY)


@pytest.fixture(scope="module")
def told(server: Server) -> dict[str, Any]:
    """What each client has read."""
    node = require("node", shutil.which("node"))
    for package in ("ai", "@ai-sdk/openai-compatible", "openai"):
        require(package, next(map(str, FOLDER.glob(f"node_modules/{package}")), None))
    bearer = token("ann", publish=["completions"])["Authorization"].removeprefix("Bearer ")
    command = [node, str(FOLDER / "completions.mjs"), f"http://127.0.0.1:{server.port}", bearer, TEXT, LONG]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def test_openai_reads_an_answer_in_pieces_whole_and_by_its_helper(told: dict[str, Any]) -> None:
    assert told["openaiStream"] == {"answer": TEXT, "tokens": TOKENS}
    assert told["openaiWhole"] == {"answer": TEXT, "models": ["echo"]}
    assert told["openaiHelper"] == {"answer": TEXT}
    assert told["openaiError"] == {"name": "NotFoundError", "code": "model_not_found"}


def test_stream_text_reads_an_answer_with_its_end_and_its_usage(told: dict[str, Any]) -> None:
    assert told["streamText"] == {"answer": TEXT, "reason": "stop", "tokens": TOKENS}


def test_chat_asks_and_asks_again(told: dict[str, Any]) -> None:
    first, again = told["chat"]["first"], told["chat"]["again"]
    for one in (first, again):
        assert (one["answer"], one["status"], one["reason"]) == (TEXT, "ready", "stop")
        assert one["id"].startswith("chatcmpl-")
    assert first["id"] != again["id"]
    assert told["chat"]["messages"] == 2


def test_chat_that_was_reloaded_goes_on_and_resumes_nothing_after_the_end(told: dict[str, Any]) -> None:
    resumed = told["resume"]
    assert 0 < len(resumed["before"]) < len(LONG)
    assert (resumed["answer"], resumed["after"], resumed["messages"]) == (LONG, LONG, 2)
    assert (resumed["status"], resumed["reason"]) == ("ready", "stop")


def test_chat_keeps_what_came_before_a_cancel(told: dict[str, Any]) -> None:
    answer = told["cancel"]["answer"]
    assert LONG.startswith(answer) and 0 < len(answer) < len(LONG)
    assert told["cancel"]["status"] == "ready"


def test_chat_with_a_picture_is_refused_in_words(told: dict[str, Any]) -> None:
    assert told["picture"]["status"] == "error"
    assert json.loads(told["picture"]["error"])["error"]["code"] == "not_text"
