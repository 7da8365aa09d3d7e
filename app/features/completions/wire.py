"""Wire: the events of an answer as OpenAI's clients read them. Pure.

Each event of an answer is a whole ``chat.completion.chunk``, so it is sent as it is. The rest is another protocol than that of
the hub: nothing at the beginning, comments for heartbeats, ``[DONE]`` after the last chunk.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ...flask_simulcast import SSE, Event

ID_PREFIX = "chatcmpl-"
CHANNEL_PREFIX = f"run:{ID_PREFIX}"
DONE = "[DONE]"
#: An EventSource that reconnects with this id is answered 204, which ends it.
END_ID = "end"
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_of(status: int, code: str, message: str) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"message": message, "type": kind, "param": None, "code": code}


def only_of_answer(event: Event) -> Event | None:
    """Drop what goes to all listeners, or to all of a user: these clients would take it for a chunk."""
    return event if event.channel.startswith(CHANNEL_PREFIX) else None


def is_chunk(event: Event) -> bool:
    """Tell whether an event is a chunk, and not the end."""
    return event.type == "message"


def text_of(chunk: dict[str, Any]) -> str:
    """Return the text in a chunk; empty if it has none."""
    delta = chunk["choices"][0].get("delta") if chunk["choices"] else None
    text = delta.get("content") if isinstance(delta, dict) else None
    return text if isinstance(text, str) else ""


def failure_of(event: Event) -> tuple[str, str] | None:
    """Return the code and the message of an event that ends an answer before its end; None for any other."""
    if event.type == "cancelled":
        return "cancelled", "The answer was cancelled. What came before it can be read."
    if event.type != "failed":
        return None
    told = json.loads(event.data)
    return told["code"], told["message"]


def problem_of(type: str, data: str) -> tuple[str, str] | None:
    """Return the code and the message of a notice that the stream, not the answer, has broken off; None for any other."""
    if type == "gap":
        return "gap", "A part of the answer is no longer there to be resumed. Read it as a whole."
    reason = json.loads(data)["reason"] if type == "closed" else "finished"
    return None if reason == "finished" else (reason, "The stream was closed. Resume it.")


def _event(event: Event) -> bytes:
    if event.type == "complete":
        return SSE.notice("message", DONE, END_ID)
    failure = failure_of(event)
    return SSE.event(event) if failure is None else _error(*failure, END_ID)


def _notice(type: str, data: str, id: str) -> bytes:
    problem = problem_of(type, data)
    return b"" if problem is None else _error(*problem, "")


def _error(code: str, message: str, id: str) -> bytes:
    return SSE.notice("error", json.dumps({"error": error_of(500, code, message)}, separators=(",", ":")), id)


def _retry(milliseconds: int) -> bytes:
    return b""


OPENAI = replace(SSE, name="openai", event=_event, notice=_notice, retry=_retry, for_several=None)
