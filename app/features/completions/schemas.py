"""Requests and answers of the completions, as OpenAI's API has them. The same types check and document them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

MAX_MESSAGES = 1000
CONVERSATION_PATTERN = "^[A-Za-z0-9._-]{1,64}$"

Id = Annotated[str, Meta(description="Id of an answer.")]
ModelName = Annotated[str, Meta(max_length=256)]
# The largest integer that each reader of JSON has.
_MostTokens = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]


class TextPart(Struct):
    """A piece of a message. This service takes text alone."""

    type: Literal["text"]
    text: str


class CompletionMessage(Struct):
    """What was said. Other fields, such as `tool_calls`, go to the upstream as they are."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Struct):
    """How to stream."""

    include_usage: Annotated[bool, Meta(description="Whether a last chunk has the usage.")] = False


class AnswerOptions(Struct):
    """How to answer. Other fields go to the upstream as they are."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=1, description="One answer.")] | None = None
    max_tokens: _MostTokens | None = None
    max_completion_tokens: _MostTokens | None = None
    cancel_on_disconnect: Annotated[
        bool | None,
        Meta(description="Whether the answer is cancelled when this client leaves. Not a field of OpenAI's."),
    ] = None
    conversation: Annotated[
        Annotated[str, Meta(extra_json_schema={"pattern": CONVERSATION_PATTERN})] | None,
        Meta(
            description="Id of the conversation in which this is said: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, without a "
            "user at least 32. What was said before is put before `messages`. Not a field of OpenAI's."
        ),
    ] = None
    when_busy: Annotated[
        Literal["wait", "refuse"],
        Meta(description="What to do while another answer is made in the conversation. Not a field of OpenAI's."),
    ] = "wait"


class CompletionRequest(AnswerOptions, kw_only=True):
    """A question. Other fields go to the upstream as they are."""

    model: Annotated[ModelName, Meta(description="One of `GET /v1/models`.")]
    messages: Annotated[list[CompletionMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]


class CompletionUsage(Struct):
    """Tokens of a question and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(Struct):
    """The answer."""

    index: int
    message: Annotated[dict[str, Any], Meta(description="`role` and `content`, and what else the model said.")]
    finish_reason: Annotated[str | None, Meta(description="Why it ended; null if it has not, or was interrupted.")]
    logprobs: None = None


class Failure(Struct):
    """What went wrong."""

    code: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]


class Completion(Struct):
    """An answer: whole, or as far as it has come."""

    id: Id
    created: int
    model: str
    choices: list[Choice]
    status: Annotated[str, Meta(description="`running`, `complete`, `failed` or `cancelled`. Not a field of OpenAI's.")]
    object: Literal["chat.completion"] = "chat.completion"
    usage: CompletionUsage | None = None
    system_fingerprint: str | None = None
    error: Failure | UnsetType = UNSET


class Cancelled(Struct):
    """What came of a cancel."""

    id: Id
    cancelled: Annotated[bool, Meta(description="Whether this request ended it; false if it had ended before.")]
    object: Literal["chat.completion"] = "chat.completion"


class Model(Struct):
    """A model."""

    id: str
    created: int
    owned_by: str
    object: Literal["model"] = "model"


class Models(Struct):
    """The models that answer."""

    data: list[Model]
    object: Literal["list"] = "list"
