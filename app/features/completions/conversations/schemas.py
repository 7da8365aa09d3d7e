"""Requests and answers about conversations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ..schemas import Failure
from ..schemas import Id as Completion

MOST_CONVERSATIONS = 1000

Id = Annotated[str, Meta(description="Chosen by the client. Each user has ids of their own.")]
Seconds = Annotated[int, Meta(description="Unix time in seconds.")]
Status = Literal["waiting", "running", "complete", "failed", "cancelled"]


class Turn(Struct):
    """A prompt and its answer."""

    id: Completion
    model: str
    created: Seconds
    messages: Annotated[list[dict[str, Any]], Meta(description="What the client said.")]
    answer: Annotated[
        dict[str, Any] | None, Meta(description="The model's message as far as it has come; null if none has.")
    ]
    status: Status
    pieces: Annotated[int, Meta(description="Number of pieces in an answer that is not kept yet.")] | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class Ended(Struct):
    """The end of an answer, as listeners get it."""

    id: Completion
    status: str
    pieces: int
    error: Failure | UnsetType


class Conversation(Struct):
    """What was said, in order."""

    id: Id
    title: Annotated[str, Meta(description="Beginning of the first prompt.")]
    created: Seconds
    spoken: Annotated[int, Meta(description="Unix time in seconds of the last prompt.")]
    turns: list[Turn]
    position: Annotated[str, Meta(description="The stream goes on after it: `?last_event_id=`.")]


class Listed(Struct):
    """A conversation, without what was said."""

    id: Id
    title: str
    created: Seconds
    spoken: Seconds


class Conversations(Struct):
    """The user's conversations, the last one spoken in first."""

    conversations: list[Listed]


class ListQuery(Struct):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=MOST_CONVERSATIONS, description="Maximum number of conversations.")] = 100


class StreamQuery(Struct):
    """Where to go on."""

    last_event_id: Annotated[
        str, Meta(description="Position to go on from, for a client that can't send `Last-Event-ID`. The header wins.")
    ] = ""
