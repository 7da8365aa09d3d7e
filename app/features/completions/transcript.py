"""Transcript: an answer put together from its chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ...extensions import simulcast
from ...flask_simulcast import Event, RunState
from . import schemas, wire

_PAGE_EVENTS = 1000


def read(state: RunState) -> schemas.Completion:
    """Return an answer as far as the log has it. Switches."""
    return put_together(state, _events(state))


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
            told.status, told.usage = "complete", data["usage"] and schemas.Usage(**data["usage"])
            continue
        told.system_fingerprint = data.get("system_fingerprint") or told.system_fingerprint
        for choice in data["choices"][:1]:
            _add(message, choice.get("delta") or {})
            finish_reason = choice.get("finish_reason") or finish_reason
    told.choices.append(schemas.Choice(0, message, finish_reason))
    return told


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        known = message.get(name)
        if name == "role":
            message[name] = value
        elif isinstance(value, str):
            message[name] = (known or "") + value
        elif isinstance(value, list) and isinstance(known, list):
            _add_each(known, value)
        elif value is not None:
            message[name] = value


def _add_each(known: list[Any], pieces: list[Any]) -> None:
    """Join the calls of tools, which come in pieces with an index."""
    for piece in pieces:
        same = [one for one in known if isinstance(one, dict) and one.get("index") == piece.get("index")]
        if not same:
            known.append(piece)
            continue
        for name, value in (piece.get("function") or {}).items():
            function = same[0].setdefault("function", {})
            function[name] = function.get(name, "") + value if isinstance(value, str) else value


def _events(state: RunState) -> Iterator[Event]:
    after = str(state.begin)
    while True:
        page = simulcast.history(state.channel, after=after, limit=_PAGE_EVENTS)
        yield from page.events
        if not page.has_more:
            return
        after = str(page.position)
