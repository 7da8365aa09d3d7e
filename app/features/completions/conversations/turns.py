"""Turns: a prompt with its answer. While a turn is open, its answer is in the log, and the state of its run tells how it goes."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from ....extensions import simulcast
from ....flask_simulcast.errors import NoSuchRunError
from .. import transcript
from ..schemas import Failure
from . import schemas, store

# A prompt is stored before its run begins. After this time a turn without a run is one that a killed worker has left.
_START_MS = 15_000
_LOST = Failure("worker_lost", "The server that worked on this has stopped. Ask again.")


class Made(NamedTuple):
    """What the log has of an answer.

    Attributes:
        status: ``waiting``, ``running``, or how it ended.
        answer: The model's message; None if there is none.
        pieces: Number of its pieces.
        error: Why it ended early.
    """

    status: str
    answer: dict[str, Any] | None
    pieces: int
    error: Failure | UnsetType


def is_open(row: Row[Any]) -> bool:
    """Tell whether the answer of a turn is still being made. Switches."""
    try:
        return not simulcast.run_state(row.completion).ending
    except NoSuchRunError:
        return bool(time.time_ns() // 1_000_000 - row.created_ms < _START_MS)


def made(row: Row[Any]) -> Made:
    """Return what the log has of the answer of an open turn. Switches."""
    try:
        told, pieces = transcript.told(simulcast.run_state(row.completion))
    except NoSuchRunError:
        return Made(row.status, None, 0, UNSET) if is_open(row) else Made("failed", None, 0, _LOST)
    status = row.status if told.status == "running" else told.status
    return Made(status, told.choices[0].message if pieces else None, pieces, told.error)


def read(row: Row[Any]) -> schemas.Turn:
    """Return a turn with its answer as far as it has come. Switches."""
    answer, error = (text and json.loads(text) for text in (row.answer, row.error))
    turn = schemas.Turn(row.completion, row.model, row.created_ms // 1000, json.loads(row.prompt), answer, row.status)
    if row.status not in store.OPEN:
        turn.error = Failure(**error) if error else UNSET
        return turn
    turn.status, found, turn.pieces, turn.error = made(row)  # type: ignore[assignment]
    turn.answer = found or answer
    return turn


def as_history(turn: schemas.Turn) -> list[dict[str, Any]]:
    """Return the messages of a turn for a model. An answer that ended early counts as far as it came. Pure."""
    said: dict[str, Any] = {"role": "assistant", "content": turn.answer.get("content")} if turn.answer else {}
    if turn.answer and turn.status == "complete" and turn.answer.get("tool_calls"):
        said["tool_calls"] = [{n: v for n, v in call.items() if n != "index"} for call in turn.answer["tool_calls"]]
    return [*turn.messages, said] if said.get("content") or "tool_calls" in said else turn.messages
