"""How much one client may ask, and how long an answer may be."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from app.features.completions.limits import REQUESTS_PER_MINUTE, Limits, duration
from app.features.completions.questions import Question, parse
from app.identity.sender import HOLDER
from app.web.errors import ApiError

ANN, BOB = "user:ann", "user:bob"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def question(characters: int = 0) -> Question:
    asked = {"model": "m", "messages": [{"role": "user", "content": "x" * characters}]}
    return parse(json.dumps(asked).encode())


def chunks(texts: int, total_tokens: int | None = None) -> Generator[dict[str, Any], None, None]:
    for _ in range(texts):
        yield {"choices": [{"delta": {"content": "x"}}]}
    if total_tokens is not None:
        yield {"choices": [], "usage": {"total_tokens": total_tokens}}


def wait(limits: Limits, sender: str, asked: Question, running: int = 0) -> str:
    """How long to wait; empty for what was admitted."""
    try:
        limits.admit(sender, asked, running)
    except ApiError as error:
        assert (error.status, error.code) == (429, "rate_limit_exceeded")
        return error.headers["Retry-After"]
    return ""


def remaining(limits: Limits, sender: str = ANN) -> str:
    return limits.headers(sender)["x-ratelimit-remaining-tokens"]


def test_tokens_of_a_minute_are_of_one_client_and_come_back() -> None:
    limits = Limits(60, 100, 0, clock := Clock())
    assert wait(limits, ANN, question(160)) == ""
    assert remaining(limits) == "19"
    assert wait(limits, ANN, question(160)) == "22"
    assert wait(limits, BOB, question(160)) == ""
    clock.now += 22
    assert wait(limits, ANN, question(160)) == ""


def test_question_longer_than_a_minute_needs_a_full_bucket() -> None:
    limits = Limits(60, 100, 0, Clock())
    assert wait(limits, ANN, question(4000)) == ""
    assert wait(limits, ANN, question()) == str(1001 - 60 + 1)


def test_chunks_count_as_they_come_and_the_usage_corrects_that() -> None:
    limits = Limits(60, 100, 0, Clock())
    asked = question()
    limits.admit(ANN, asked, 0)
    answer = limits.counted(ANN, asked, chunks(5, total_tokens=42))
    for _ in range(5):
        next(answer)
    assert remaining(limits) == str(60 - 1 - 5)
    assert len(list(answer)) == 1
    assert remaining(limits) == str(60 - 42)


def test_answer_ends_at_its_limit_as_a_model_ends_it_and_its_source_is_closed() -> None:
    source = chunks(9, total_tokens=10)
    *_, last, usage = Limits(0, 4, 0).counted(ANN, question(), source)
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["usage"] == {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
    assert source.gi_frame is None
    assert len(list(Limits(0, 4, 0).counted(ANN, question(), chunks(4, total_tokens=5)))) == 5


def test_answer_ends_at_its_limit_also_behind_a_chunk_without_a_choice() -> None:
    def source() -> Generator[dict[str, Any], None, None]:
        for number in range(9):
            yield {"choices": [] if number == 4 else [{"delta": {"content": "x"}}]}

    *before, last, _ = Limits(0, 4, 0).counted(ANN, question(), source())
    assert len([chunk for chunk in before if chunk["choices"]]) == 4
    assert last["choices"][0]["finish_reason"] == "length"


def test_answers_at_once_and_questions_of_a_minute_are_bounded() -> None:
    limits = Limits(0, 100, 2, clock := Clock())
    assert [wait(limits, ANN, question(), running) for running in (0, 1, 2)] == ["", "", "1"]
    admitted = [wait(limits, BOB, question()) for _ in range(REQUESTS_PER_MINUTE + 1)]
    assert admitted == [""] * REQUESTS_PER_MINUTE + ["1"]
    clock.now += 1
    assert wait(limits, BOB, question()) == ""


def test_holder_of_the_publish_key_has_no_limit() -> None:
    limits = Limits(1, 100, 1, Clock())
    assert wait(limits, HOLDER, question(4000), 50) == wait(limits, HOLDER, question(4000), 50) == ""
    assert limits.headers(HOLDER) == {}


def test_headers_are_openais() -> None:
    limits = Limits(60, 100, 0, Clock())
    limits.admit(ANN, question(76), 0)
    assert limits.headers(ANN) == {
        "x-ratelimit-limit-requests": "300",
        "x-ratelimit-remaining-requests": "299",
        "x-ratelimit-reset-requests": "200ms",
        "x-ratelimit-limit-tokens": "60",
        "x-ratelimit-remaining-tokens": "40",
        "x-ratelimit-reset-tokens": "20s",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0111, "12ms"), (1, "1s"), (1.5, "1.5s"), (59.9999, "1m0s"), (360, "6m0s"), (61.25, "1m1.25s")],
)
def test_time_is_written_as_openai_writes_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
