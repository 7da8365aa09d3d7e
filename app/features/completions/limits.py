"""Limits: how much one client may ask, and how long an answer may be. Token buckets, in each worker, told in OpenAI's headers.

How many tokens an answer costs is known only after it. So each chunk takes one, which can leave a bucket below zero; the count
of the model corrects that at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

from flask import Flask, current_app

from ...extensions import simulcast
from ...identity.sender import HOLDER
from ...web.limits import Buckets, too_fast
from . import wire
from .questions import Question

_KEY = "completions_limits"
_CODE = "rate_limit_exceeded"
#: Questions of one client in a minute: more than a person asks on ten devices.
REQUESTS_PER_MINUTE = 300
# Of English text, until the model has counted.
_CHARACTERS_PER_TOKEN = 4
# An answer is shorter than the history of a run by these: the chunks of its end, and the ending.
_LAST_EVENTS = 10

Chunk = dict[str, Any]


class Limits:
    """What one app allows in this process.

    Args:
        tokens: Tokens a minute of one client; 0 for no limit.
        chunks: Largest number of chunks of one answer.
        at_once: Answers at once of one client; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(self, tokens: int, chunks: int, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._chunks = chunks
        self._at_once = at_once
        self._requests = _a_minute(REQUESTS_PER_MINUTE, clock)
        self._tokens = _a_minute(tokens, clock) if tokens else None

    def admit(self, sender: str, question: Question, running: int) -> None:
        """Count a question.

        Args:
            sender: The client.
            running: Number of its answers that this worker makes.

        Raises:
            ApiError: 429 ``rate_limit_exceeded`` with ``Retry-After``.
        """
        if sender == HOLDER:
            return
        if 0 < self._at_once <= running:
            raise too_fast(_CODE, f"You already have {running} answers in the making here", 1)
        tokens = _tokens_of(question)
        seconds = self._requests.wait(sender, 1)
        if self._tokens is not None:
            seconds = max(seconds, self._tokens.wait(sender, min(tokens, int(self._tokens.burst))))
        if seconds > 0:
            error = too_fast(_CODE, "You ask for more in a minute than you may", seconds)
            error.headers |= self.headers(sender)
            raise error
        self._requests.take(sender, 1)
        self._take(sender, tokens)

    def counted(self, sender: str, question: Question, chunks: Generator[Chunk, None, None]) -> Iterator[Chunk]:
        """Yield the chunks of an answer up to the limit, and count them. Switches."""
        counted = _tokens_of(question)
        for chunk in _cut(chunks, self._chunks, counted):
            tokens = chunk["usage"]["total_tokens"] - counted if chunk.get("usage") else 1
            counted += tokens
            self._take(sender, tokens)
            yield chunk

    def headers(self, sender: str) -> dict[str, str]:
        """Return OpenAI's headers: the limit of a minute, what remains, and the time until all of it is there again."""
        headers: dict[str, str] = {}
        for name, buckets in (("requests", self._requests), ("tokens", self._tokens)):
            if buckets is not None and sender != HOLDER:
                level = buckets.level(sender)
                headers[f"x-ratelimit-limit-{name}"] = f"{buckets.burst:.0f}"
                headers[f"x-ratelimit-remaining-{name}"] = str(max(int(level), 0))
                headers[f"x-ratelimit-reset-{name}"] = duration((buckets.burst - level) / buckets.rate)
        return headers

    def _take(self, sender: str, tokens: int) -> None:
        if self._tokens is not None and sender != HOLDER:
            self._tokens.take(sender, tokens)


def _cut(chunks: Generator[Chunk, None, None], most: int, asked: int) -> Iterator[Chunk]:
    """Yield chunks; at the limit end as a model does there."""
    with closing(chunks):
        for number, chunk in enumerate(chunks):
            if number >= most and chunk["choices"]:
                break
            yield chunk
        else:
            return
    yield {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]}
    yield {"choices": [], "usage": {"prompt_tokens": asked, "completion_tokens": most, "total_tokens": asked + most}}


def duration(seconds: float) -> str:
    """Write a time as OpenAI does: ``12ms``, ``1.5s``, ``6m0s``."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes}m{milliseconds / 1000:g}s" if minutes else f"{milliseconds / 1000:g}s"


def _a_minute(number: int, clock: Callable[[], float]) -> Buckets:
    return Buckets(number / 60, number, clock)


def _tokens_of(question: Question) -> int:
    """Estimate the tokens of a question."""
    return sum(len(message.text) for message in question.messages) // _CHARACTERS_PER_TOKEN + 1


def init_app(app: Flask) -> None:
    """Read the settings."""
    with app.app_context():
        settings = simulcast.settings
    chunks = settings.retention(wire.CHANNEL_PREFIX).events - _LAST_EVENTS
    tokens = app.config["SIMULCAST_COMPLETIONS_TOKENS_PER_MINUTE"]
    app.extensions[_KEY] = Limits(tokens, max(chunks, 1), settings.max_runs_per_user)


def here() -> Limits:
    """Return the limits of the current app."""
    limits: Limits = current_app.extensions[_KEY]
    return limits
