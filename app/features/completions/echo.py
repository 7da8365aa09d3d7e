"""Echo: says again what it was told. It is no model, and its name says so; it is there to try clients and streams."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from typing import Any

from ...web.errors import ApiError
from . import schemas
from .answers import Answer
from .questions import Question

_MODEL = "echo"
_FINGERPRINT = "echo-is-no-model"
_PIECE = re.compile(r"\s{0,99}\S{1,99}|\s{1,99}")
# As fast as a small model on a processor.
_SECONDS = 0.03


class Echo:
    """Answers with the last message of the user, word by word."""

    def models(self) -> list[schemas.Model]:
        """Return the one that is none."""
        return [schemas.Model(_MODEL, 0, "simulcast")]

    def check(self, question: Question) -> None:
        """As `Source.check`."""
        if question.model != _MODEL:
            raise ApiError(404, "model_not_found", f"There is no model {question.model[:64]!a} here. Ask {_MODEL!r}.")

    def chunks(self, question: Question, answer: Answer) -> Generator[dict[str, Any], None, None]:
        """As `Source.chunks`."""
        said = next((message.text for message in reversed(question.messages) if message.role == "user"), "")
        pieces = _PIECE.findall(said)
        yield _chunk({"role": "assistant", "content": ""})
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(_SECONDS)
            yield _chunk({"content": piece})
        yield _chunk({}, "stop")
        asked = sum(len(_PIECE.findall(message.text)) for message in question.messages)
        usage = {"prompt_tokens": asked, "completion_tokens": len(pieces), "total_tokens": asked + len(pieces)}
        yield {"choices": [], "usage": usage, "system_fingerprint": _FINGERPRINT}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {"choices": [choice], "system_fingerprint": _FINGERPRINT}
