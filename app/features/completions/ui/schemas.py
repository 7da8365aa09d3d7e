"""Requests of the AI SDK, as its `DefaultChatTransport` sends them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from ..schemas import MAX_MESSAGES, AnswerOptions, ModelName

#: The SDK shows these parts to people, and sends none of them to a model; as those whose type begins with `data-`.
FOR_PEOPLE = ("step-start", "reasoning", "source-url", "source-document")

ChatId = Annotated[str, Meta(description="Id of the chat, which the client chose.")]


class Part(Struct):
    """A piece of a message. Fields of other types are not read."""

    type: Annotated[
        str,
        Meta(
            description="`text`; what is no text is refused, unless the SDK itself tells no model of it.",
            extra_json_schema={"pattern": f"^(?:(?:text|{'|'.join(FOR_PEOPLE)})$|data-)"},
        ),
    ]
    text: str | None = None


class UIMessage(Struct):
    """What was said."""

    role: Literal["system", "user", "assistant"]
    parts: list[Part]


# A message without text is left out, but not all of them can be.
_TEXT = {
    "properties": {"type": {"const": "text"}, "text": {"type": "string", "minLength": 1}},
    "required": ["type", "text"],
}
_WITH_TEXT = {"properties": {"parts": {"contains": _TEXT}}}


class UIRequest(AnswerOptions, kw_only=True):
    """A question. Other fields are those of `POST /v1/chat/completions`."""

    messages: Annotated[
        list[UIMessage], Meta(min_length=1, max_length=MAX_MESSAGES, extra_json_schema={"contains": _WITH_TEXT})
    ]
    id: ChatId = ""
    trigger: str | None = None
    message_id: str | None = field(name="messageId", default=None)
    model: Annotated[ModelName | None, Meta(description="By default the first of `GET /v1/models`.")] = None
