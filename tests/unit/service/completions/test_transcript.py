from __future__ import annotations

import json
from typing import Any

from app.features.completions.transcript import put_together
from app.flask_simulcast import Event, Position, RunState

STATE = RunState("chatcmpl-1", "", '{"model":"m","created":1}', "w", 1, Position(1, 1))


def events(*deltas: dict[str, Any], finish_reason: str | None = None) -> list[Event]:
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices[-1]["finish_reason"] = finish_reason
    return [made("message", {"choices": [choice]}) for choice in choices]


def made(type: str, data: object) -> Event:
    return Event(Position(2 << 20, 1), STATE.channel, type, json.dumps(data))


def test_text_is_joined_and_the_ending_told() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    said = events({"role": "assistant", "content": ""}, {"content": "a"}, {"content": "b"}, {}, finish_reason="stop")
    told = put_together(STATE, [*said, made("complete", {"usage": usage})])
    (choice,) = told.choices
    assert choice.message == {"role": "assistant", "content": "ab"}
    assert (choice.finish_reason, told.status) == ("stop", "complete")
    assert told.usage is not None
    assert told.usage.total_tokens == 3


def test_answer_is_the_assistants_whatever_the_role_in_its_pieces() -> None:
    """Some servers send an empty role with each piece. The next prompt of the conversation failed on it."""
    told = put_together(STATE, events({"role": "assistant", "content": "a"}, {"role": "", "content": "b"}))
    assert told.choices[0].message == {"role": "assistant", "content": "ab"}


def test_running_answer_has_no_ending() -> None:
    told = put_together(STATE, events({"content": "a"}))
    assert (told.status, told.choices[0].finish_reason, told.usage) == ("running", None, None)


def test_failure_is_told_beside_what_came_before() -> None:
    told = put_together(STATE, [*events({"content": "a"}), made("failed", {"code": "worker_lost", "message": "Gone."})])
    assert (told.status, told.choices[0].message["content"]) == ("failed", "a")
    assert told.error
    assert told.error.code == "worker_lost"


def test_calls_of_tools_are_joined_by_their_index() -> None:
    first = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    pieces = [{"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in ('{"a"', ":1}")]
    told = put_together(STATE, events(first, *pieces, finish_reason="tool_calls"))
    (call,) = told.choices[0].message["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert call["id"] == "c"


def test_fields_of_other_types_are_kept_as_they_come() -> None:
    deltas = [{"audio": {"id": 1}}, {"audio": "x"}, {"notes": ["a"]}, {"notes": ["b"]}, {"notes": "c"}]
    calls = [
        {"tool_calls": [{"index": 0, "function": None}]},
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}, {}]},
    ]
    message = put_together(STATE, events(*deltas, *calls)).choices[0].message
    assert (message["audio"], message["notes"]) == ("x", "c")
    assert message["tool_calls"] == [{"index": 0, "function": {"name": "f"}}, {}]
