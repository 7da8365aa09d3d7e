"""Requests of the AI SDK, as its `DefaultChatTransport` sends them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..schemas import MAX_MESSAGES

ChatId = Annotated[str, Meta(description="Id of the chat, which the client chose.")]


class Part(Struct):
    """A piece of a message. Fields of other types are not read."""

    type: Annotated[
        str, Meta(description="`text`; what is no text is refused, unless the SDK itself tells no model of it.")
    ]
    text: str | None = None


class UIMessage(Struct):
    """What was said."""

    role: Literal["system", "user", "assistant"]
    parts: list[Part]


class UIRequest(Struct, rename="camel"):
    """A question. Other fields are those of `POST /v1/chat/completions`."""

    messages: Annotated[list[UIMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    id: ChatId = ""
    trigger: str | None = None
    message_id: str | None = None
    model: Annotated[str | None, Meta(description="By default the first of `GET /v1/models`.")] = None
