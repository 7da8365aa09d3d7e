"""What an upstream may send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.features.completions import chunks
from app.flask_simulcast import RunFailedError


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": []},
        {"choices": [{"index": 0, "delta": {"content": "x", "other": [1]}, "finish_reason": None}], "more": {}},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}], "error": None},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "details": {}}},
    ],
)
def test_chunk_is_passed_on_whole(chunk: dict[str, Any]) -> None:
    assert chunks.parse(json.dumps(chunk)) == chunk


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "{{{",
        '{"a":"\ud800"}',
        "[" * 10_000,
        '{"choices":' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"choices":7}',
        '{"choices":[7]}',
        '{"choices":[{"delta":"x"}]}',
        '{"choices":[{"delta":{"content":7}}]}',
        '{"choices":[{"delta":{"tool_calls":["x"]}}]}',
        '{"choices":[{"finish_reason":[]}]}',
        '{"choices":[],"usage":{"total_tokens":"3"}}',
    ],
)
def test_what_is_no_chunk_is_garbage(text: str) -> None:
    with pytest.raises(RunFailedError) as error:
        chunks.parse(text)
    assert error.value.code == "upstream_garbage"


def test_error_in_the_stream_is_a_failure() -> None:
    with pytest.raises(RunFailedError) as error:
        chunks.parse('{"error":{"message":"secret"}}')
    assert (error.value.code, "secret" in str(error.value)) == ("upstream_failed", False)
