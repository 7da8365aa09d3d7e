"""Chunks: what the stream of an upstream may hold. What follows relies on these types; all other fields are passed on."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ...flask_simulcast import RunFailedError
from ...web.body import with_room
from . import schemas


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    index: int | None = None
    function: _Function | None = None


class _Delta(Struct):
    role: str | None = None
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice]
    usage: schemas.CompletionUsage | None = None


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def parse(data: str) -> dict[str, Any]:
    """Read one chunk. Pure.

    Raises:
        RunFailedError: It is none, or it says that the upstream has failed.
    """
    try:
        chunk = with_room(lambda: _decode(data))
        if chunk.get("error"):
            raise RunFailedError("The model's server failed in the middle of its answer. Ask again.", "upstream_failed")
        msgspec.convert(chunk, _Chunk)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise garbage() from None
    return chunk


def garbage() -> RunFailedError:
    """Return the error for what is no chunk."""
    return RunFailedError("The model's server sent what is no answer. Tell its operator.", "upstream_garbage")
