"""What a model is told of a conversation, and how pieces are told together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.completions.conversations import telling, turns
from app.features.completions.conversations.schemas import Turn
from app.features.completions.conversations.store import as_text
from app.features.completions.questions import parse

PROMPT = [{"role": "user", "content": "Hi"}]
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def turn(answer: dict[str, Any] | None, status: Any = "complete") -> Turn:
    return Turn("chatcmpl-1", "m", 1, PROMPT, answer, status)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (turn(None, "failed"), []),
        (turn({"role": "assistant", "content": ""}, "cancelled"), []),
        (turn({"role": "assistant", "content": "He"}, "cancelled"), [{"role": "assistant", "content": "He"}]),
        (turn({"role": "", "content": "x"}), [{"role": "assistant", "content": "x"}]),
        (
            turn({"role": "assistant", "content": "x", "reasoning_content": "secret"}),
            [{"role": "assistant", "content": "x"}],
        ),
        (
            turn({"role": "assistant", "content": "", "tool_calls": [CALL]}),
            [{"role": "assistant", "content": "", "tool_calls": [{n: CALL[n] for n in ("id", "type", "function")}]}],
        ),
        (turn({"role": "assistant", "content": "", "tool_calls": [CALL]}, "failed"), []),
    ],
)
def test_model_is_told_what_was_said_and_no_half_call_of_a_tool(told: Turn, said: list[dict[str, Any]]) -> None:
    assert turns.as_history(told) == [*PROMPT, *said]


def test_question_behind_a_history_keeps_its_other_fields() -> None:
    asked = parse(json.dumps({"model": "m", "messages": PROMPT, "top_k": 3, "conversation": "c"}).encode())
    behind = asked.after([{"role": "system", "content": "Be kind."}])
    assert [message.text for message in behind.messages] == ["Be kind.", "Hi"]
    assert behind.fields["messages"] == [{"role": "system", "content": "Be kind."}, *PROMPT]
    assert (behind.fields["top_k"], "conversation" in behind.fields) == (3, False)


@given(st.lists(st.text(max_size=5000)).filter(len), st.sampled_from([450, 4096, 65_536]))
def test_pieces_keep_their_order_and_fit_into_events(texts: list[str], most_bytes: int) -> None:
    batches = list(telling.batches(texts, most_bytes))
    assert [text for batch in batches for text in batch] == texts
    assert all(len(json.dumps(batch)) < most_bytes or len(batch) == 1 for batch in batches)
    assert all(batches)


@given(st.text(alphabet=st.characters()))
def test_kept_text_can_be_stored_and_is_the_same_again(text: str) -> None:
    kept = as_text({"text": text + "\0\ud800"})
    kept.encode()
    assert "\0" not in kept
    assert json.loads(kept) == {"text": text + "\0\ud800"}
