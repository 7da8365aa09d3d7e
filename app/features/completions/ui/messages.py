"""Messages: what the AI SDK sends, turned into a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ....web import body
from ....web.body import JSON, Body
from ....web.errors import ApiError
from .. import questions, sources
from ..questions import Question
from . import schemas

# Of the protocol between the SDK and this route.
_OWN_FIELDS = frozenset({"id", "messages", "trigger", "messageId"})
_decoder = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class ChatQuestion:
    """A question of a chat.

    Attributes:
        chat: Id of the chat; empty if it has none, and is not resumed.
        question: The question.
    """

    chat: str
    question: Question


def parse(text: bytes) -> ChatQuestion:
    """Check a request. Switches if it names no model.

    Raises:
        ApiError: 400: it is not JSON, not a question, or has more than text in it. 404: there is no model; and as
            `Source.models`.
    """
    try:
        fields = body.with_room(lambda: body.parse(text, _decoder))
        asked: schemas.UIRequest = body.convert(fields, schemas.UIRequest)
    except msgspec.ValidationError as error:
        raise ApiError(400, "invalid_question", f"{str(error)[:200]}. Send what DefaultChatTransport sends.") from None
    messages = [{"role": one.role, "content": said} for one in asked.messages if (said := _text_of(one))]
    others = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    return ChatQuestion(asked.id, questions.check({**others, "model": asked.model or _first(), "messages": messages}))


def _first() -> str:
    """Return the model of a question that names none. Switches."""
    models = sources.here().models()
    if not models:
        raise ApiError(404, "model_not_found", "There is no model here. Name one, or add one to the upstream.")
    return models[0].id


def _text_of(message: schemas.UIMessage) -> str:
    """Return the text of a message; none for an answer that was stopped before its first word."""
    for part in message.parts:
        if part.type != "text" and part.type not in schemas.FOR_PEOPLE and not part.type.startswith("data-"):
            raise ApiError(400, "not_text", f"A part of the type {part.type[:64]!a} is no text. Send text alone.")
    return "".join(part.text or "" for part in message.parts if part.type == "text")


MESSAGES = Body(content={JSON: schemas.UIRequest}, most_bytes=lambda: questions.MOST_BYTES, parse=parse)
