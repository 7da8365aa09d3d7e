"""Transcript: an answer put together from its chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...extensions import simulcast
from ...flask_simulcast import Event, RunState
from . import schemas, wire

_PAGE_EVENTS = 1000


def read(state: RunState) -> schemas.Completion:
    """Return an answer as far as the log has it. Switches."""
    return told(state)[0]


def told(state: RunState) -> tuple[schemas.Completion, int]:
    """Return an answer as far as the log has it, and the number of its chunks. Switches."""
    found = list(events(state))
    return put_together(state, found), sum(map(wire.is_chunk, found))


def events(state: RunState, after: str | None = None) -> Iterator[Event]:
    """Yield the events of an answer that the log has, after a position or from its beginning. Switches."""
    after = after or str(state.begin)
    while True:
        page = simulcast.history(state.channel, after=after, limit=_PAGE_EVENTS)
        yield from page.events
        if not page.has_more:
            return
        after = str(page.position)


def put_together(state: RunState, events: Iterable[Event]) -> schemas.Completion:
    """Join the chunks of an answer. Pure."""
    meta = json.loads(state.meta)
    told = schemas.Completion(state.id, meta["created"], meta["model"], [], "running")
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    finish_reason = None
    for event in events:
        failure = wire.failure_of(event)
        if failure is not None:
            told.status, told.error = event.type, schemas.Failure(*failure)
            continue
        data = json.loads(event.data)
        if event.type == "complete":
            told.status, told.usage = "complete", msgspec.convert(data["usage"], schemas.CompletionUsage | None)
            continue
        told.system_fingerprint = data.get("system_fingerprint") or told.system_fingerprint
        for choice in data["choices"][:1]:
            _add(message, choice.get("delta") or {})
            finish_reason = choice.get("finish_reason") or finish_reason
    told.choices.append(schemas.Choice(0, message, finish_reason))
    return told


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "role":  # always the same; some servers send an empty one with each piece
            continue
        known = message.get(name)
        if isinstance(value, str) and isinstance(known, str):
            message[name] = known + value
        elif isinstance(value, list) and isinstance(known, list):
            message[name] = _with_calls(known, value) if name == "tool_calls" else known + value
        elif value is not None:
            message[name] = value


def _with_calls(known: list[dict[str, Any]], pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the calls of tools, which come in pieces with an index."""
    calls = {call.get("index"): call for call in known}
    for piece in pieces:
        call = calls.setdefault(piece.get("index"), piece)
        if call is not piece:
            call["function"] = call.get("function") or {}
            _add(call["function"], piece.get("function") or {})
    return list(calls.values())
