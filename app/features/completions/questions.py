"""Questions: a request in OpenAI's form, checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from ...web import body
from ...web.body import JSON, Body
from ...web.errors import ApiError
from . import schemas

# Ours; an upstream would not know them.
_OWN_FIELDS = ("cancel_on_disconnect", "conversation", "when_busy")
#: All messages of a conversation; many times what a model reads.
MOST_BYTES = 1 << 20
_decoder = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class Question:
    """What a client asks.

    Attributes:
        model: Id of the model.
        messages: What was said so far.
        fields: All fields, for an upstream.
        is_streamed: Whether the client reads the answer as a stream.
        wants_usage: Whether its stream has the usage.
        is_for_client: Whether the answer is cancelled when the client leaves; None if it does not say.
        conversation: Id of the conversation in which it is asked; None for none.
        when_busy: ``wait`` or ``refuse``: what to do while another answer is made in the conversation.
    """

    model: str
    messages: list[schemas.CompletionMessage]
    fields: dict[str, Any]
    is_streamed: bool
    wants_usage: bool
    is_for_client: bool | None
    conversation: str | None = None
    when_busy: str = "wait"

    def after(self, history: list[dict[str, Any]]) -> Question:
        """Return the same question behind what was said before."""
        messages = [*history, *self.fields["messages"]]
        return replace(
            self,
            messages=[*msgspec.convert(history, list[schemas.CompletionMessage]), *self.messages],
            fields={**self.fields, "messages": messages},
        )


def parse(text: bytes) -> Question:
    """Check a request.

    Raises:
        ApiError: 400: it is not JSON, or not a question.
    """
    try:
        return check(body.with_room(lambda: body.parse(text, _decoder)))
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


def check(fields: dict[str, Any]) -> Question:
    """Check the fields of a request.

    Raises:
        ApiError: 400: they are no question.
    """
    try:
        asked: schemas.CompletionRequest = body.convert(fields, schemas.CompletionRequest)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    if not asked.model.isprintable():  # it becomes a column of the database
        raise ApiError(
            400, "invalid_question", f"{asked.model[:64]!a} is not the name of a model. Ask `GET /v1/models`."
        )
    return Question(
        asked.model,
        asked.messages,
        {name: value for name, value in fields.items() if name not in _OWN_FIELDS},
        is_streamed=bool(asked.stream),
        wants_usage=asked.stream_options is not None and asked.stream_options.include_usage,
        is_for_client=asked.cancel_on_disconnect,
        conversation=asked.conversation,
        when_busy=asked.when_busy,
    )


def _invalid(error: msgspec.ValidationError) -> ApiError:
    return ApiError(400, "invalid_question", f"{str(error)[:200]}. Correct it as OpenAI's API has it.")


QUESTION = Body(
    content={JSON: schemas.CompletionRequest},
    most_bytes=lambda: MOST_BYTES,
    parse=parse,
)
