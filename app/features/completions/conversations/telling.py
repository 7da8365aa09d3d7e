"""Telling: tells the listeners of a conversation a prompt, the pieces of its answer as the log has them, and the end.

``prompt`` · ``begun`` · ``pieces`` · ``ended``. Each piece has a number, so a client that has read the conversation takes none
twice.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gevent
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from ....extensions import simulcast
from ....flask_simulcast import Event, RunState, SimulcastError
from ....flask_simulcast.errors import BrokerError, EventTooLargeError
from .. import transcript, wire
from ..answers import Answer
from . import service
from .service import Turn

# Pieces that come within this time are told together.
_PAUSE_SECONDS = 0.1
# Of an event, unless the largest one is smaller than usual.
_MOST_CHARACTERS = 8 << 10
# The longest escape of a character, two halves of a surrogate pair, and the rest of the event.
_ESCAPED_BYTES = 12
_ENVELOPE_BYTES = 128
# Of each text: its quotes and its comma.
_OVERHEAD_CHARACTERS = 3
# What is lost at most of an answer, if the log is lost with the server.
_PART_SECONDS = 5.0
# During an outage of the log.
_TRIES = 20
_RETRY_SECONDS = 0.5

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Telling:
    """Tells one answer that this worker makes, in a greenlet of its own. What it can't tell, the sweeper ends.

    Args:
        turn: The prompt.
        answer: Its answer.
        state: The answer's run.
    """

    def __init__(self, turn: Turn, answer: Answer, state: RunState) -> None:
        self._turn = turn
        self._answer = answer
        self._state = state
        self._after = str(state.begin)
        self._told = 0
        self._text = ""
        self._kept_at = time.monotonic()

    def start(self) -> None:
        """Begin."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        gevent.spawn(self._run, app)

    def _run(self, app: Flask) -> None:
        with app.app_context():
            try:
                self._tell()
            except (SimulcastError, SQLAlchemyError) as error:
                _log.warning("The answer %s is kept in its conversation later: %s", self._answer.id, error)

    def _tell(self) -> None:
        answer = self._answer
        self._say_prompt()
        has_begun = False
        while not answer.ended.is_set():
            answer.stirs.wait()
            answer.stirs.clear()
            if answer.turn.is_set() and not has_begun:
                has_begun = True
                self._say("begun", {"id": answer.id})
            self._say_pieces()
            if self._told < answer.published:  # the log does not have them yet
                answer.stirs.set()
            if time.monotonic() - self._kept_at > _PART_SECONDS:
                self._kept_at = time.monotonic()
                _with_tries(lambda: service.keep_part(self._turn, self._text))
            gevent.sleep(_PAUSE_SECONDS)
        self._say_pieces()
        _with_tries(lambda: service.keep(self._turn))

    def _say_prompt(self) -> None:
        row = self._turn.row
        said = {"id": row.completion, "model": row.model, "created": row.created_ms // 1000}
        try:
            self._say("prompt", {**said, "messages": json.loads(row.prompt)})
        except EventTooLargeError:
            self._say("prompt", said)

    def _say_pieces(self) -> None:
        events = [event for event in _with_tries(self._news) if wire.is_chunk(event)]
        if not events:
            return
        self._after = str(events[-1].position)
        said = [wire.text_of(json.loads(event.data)) for event in events]
        for texts in batches(said, simulcast.settings.max_event_bytes):
            self._say("pieces", {"id": self._answer.id, "first": self._told, "texts": texts})
            self._told += len(texts)
            self._text += "".join(texts)

    def _news(self) -> list[Event]:
        return list(transcript.events(self._state, self._after))

    def _say(self, type: str, data: dict[str, Any]) -> None:
        key = f"{self._answer.id}-{type}-{self._told}"
        _with_tries(lambda: simulcast.publish(self._turn.channel, data, type=type, idempotency_key=key))


def batches(texts: list[str], most_bytes: int) -> Iterator[list[str]]:
    """Yield texts that fit into one event together, at least one.

    Args:
        most_bytes: Size of the largest event.
    """
    most = min(_MOST_CHARACTERS, (most_bytes - _ENVELOPE_BYTES) // _ESCAPED_BYTES)
    batch: list[str] = []
    size = 0
    for text in texts:
        size += len(text) + _OVERHEAD_CHARACTERS
        if batch and size > most:
            yield batch
            batch, size = [], len(text) + _OVERHEAD_CHARACTERS
        batch.append(text)
    yield batch


def _with_tries(call: Callable[[], T]) -> T:
    """Call this again while the log or the database is away, for 10 seconds. Switches."""
    for _ in range(_TRIES):
        try:
            return call()
        except (BrokerError, SQLAlchemyError):
            gevent.sleep(_RETRY_SECONDS)
    return call()
