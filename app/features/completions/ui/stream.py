"""Stream: the events of an answer as parts of a UI message. Pure.

Source: ``ui-message-stream/ui-message-chunks.ts`` of npm's ai 7.0.173.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ....flask_simulcast import SSE, Event
from .. import wire

HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
#: Type of the notices that `opening` makes.
OPENING = "opening"
_TEXT = {"id": "text"}
_FINISH_REASONS = {"stop": "stop", "length": "length", "content_filter": "content-filter", "tool_calls": "tool-calls"}


def opening(id: str) -> Iterator[dict[str, Any]]:
    """Yield the parts before the first token."""
    yield {"type": "start", "messageId": id}
    yield {"type": "start-step"}
    yield {"type": "text-start", **_TEXT}


def _event(event: Event) -> bytes:
    data = json.loads(event.data)
    if event.type == "complete":
        return _closing({"type": "finish", "finishReason": _FINISH_REASONS.get(data["finish_reason"], "other")})
    if event.type == "cancelled":
        return _closing({"type": "abort", "reason": "cancelled"})
    failure = wire.failure_of(event)
    if failure is not None:
        return _end({"type": "error", "errorText": failure[1]})
    delta = "".join(_texts(data))
    return _block({"type": "text-delta", **_TEXT, "delta": delta}, str(event.position)) if delta else b""


def _texts(chunk: dict[str, Any]) -> Iterator[str]:
    for choice in chunk["choices"][:1]:
        content = (choice.get("delta") or {}).get("content")
        if isinstance(content, str):
            yield content


def _closing(last: dict[str, Any]) -> bytes:
    return _end({"type": "text-end", **_TEXT}, {"type": "finish-step"}, last)


def _end(*parts: dict[str, Any]) -> bytes:
    return b"".join(map(_block, parts)) + SSE.notice("message", wire.DONE, wire.END_ID)


def _block(part: dict[str, Any], id: str = "") -> bytes:
    return SSE.notice("message", json.dumps(part, separators=(",", ":")), id)


def _notice(type: str, data: str, id: str) -> bytes:
    if type == OPENING:
        return SSE.notice("message", data, id)
    problem = wire.problem_of(type, data)
    return b"" if problem is None else _block({"type": "error", "errorText": problem[1]})


def _retry(milliseconds: int) -> bytes:
    return b""


UI = replace(SSE, name="ui-message", event=_event, notice=_notice, retry=_retry, for_several=None)
