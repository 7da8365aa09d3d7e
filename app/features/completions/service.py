"""The actions: ask, wait for an answer, cancel it. The caller has already checked the right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any

from flask import Response, current_app

from ...extensions import simulcast
from ...flask_simulcast import Grant, Run, SimulcastError
from ...flask_simulcast.errors import InvalidEventError
from ...identity.sender import current_sender
from ...web.errors import ApiError
from . import access, answers, chunks, limits, schemas, sources, transcript, wire
from .answers import Answer
from .conversations import service as conversations
from .conversations.telling import Telling
from .questions import Question

ID_HEADER = "X-Completion-Id"
#: Until then a refusal of the source is answered with a status of its own. After it the stream begins, with heartbeats.
FIRST_SECONDS = 5.0
# An answer that waits longer for others in its conversation begins with heartbeats.
_TURN_SECONDS = 0.5
_LOOK_SECONDS = 0.25
# What was in the way may be over at once: another worker answers, or the model has room again.
_AGAIN = frozenset({429, 503})
_STATUSES = {
    "cancelled": 409,
    "time_limit": 504,
    "worker_stopped": 503,
    "worker_lost": 503,
    "model_not_found": 404,
    "upstream_refused": 400,
    "upstream_busy": 429,
    "upstream_timeout": 504,
}


def ask(question: Question, grant: Grant) -> Answer:
    """Begin an answer. Switches.

    Raises:
        ApiError: 404: there is no such model; 429: as `Limits.admit`; and as `conversations.add`.
        TooManyRunsError, DrainingError, BrokerUnavailableError: As `Simulcast.start_run`.
    """
    source, known = sources.here(), answers.here()
    source.check(question)
    limit, sender = limits.here(), current_sender()
    limit.admit(sender, question, known.count(sender))
    is_for_client = question.is_for_client
    if is_for_client is None:
        is_for_client = current_app.config["SIMULCAST_COMPLETIONS_CANCEL_ON_DISCONNECT"]
    answer = Answer(wire.ID_PREFIX + token_hex(16), sender, int(time.time()), is_for_client=is_for_client)
    known.add(answer)  # before the first switch: others that come at the same time must count it
    turn = None

    def produce(run: Run) -> dict[str, Any]:
        finish_reason = None
        said = {"id": answer.id, "object": "chat.completion.chunk", "created": answer.created}
        asked = question if turn is None else question.after(conversations.wait(turn, run))
        answer.takes_turn()
        for chunk in limit.counted(sender, question, source.chunks(asked, answer)):
            answer.usage = chunk.get("usage") or answer.usage
            finish_reason = next((choice.get("finish_reason") for choice in chunk["choices"]), None) or finish_reason
            if chunk["choices"] or question.wants_usage:
                _publish(run, {**said, "model": question.model, **chunk, **said})
                answer.goes_on()
        return {"usage": answer.usage, "finish_reason": finish_reason}

    try:
        if question.conversation is not None:
            turn = conversations.add(question.conversation, question, grant, answer.id)
        meta = {"model": question.model, "created": answer.created}
        state = simulcast.start_run(produce, id=answer.id, user=grant.user, meta=meta)
    except BaseException:
        known.drop(answer.id)
        if turn is not None:
            conversations.take_back(turn)
        raise
    if turn is not None:
        Telling(turn, answer, state).start()
    return answer


@contextmanager
def asking(question: Question, grant: Grant) -> Iterator[Answer]:
    """Begin an answer as `ask`. If the block raises, it is cancelled: its client is refused, and would ask again."""
    answer = ask(question, grant)
    try:
        yield answer
    except Exception:
        with suppress(SimulcastError):
            simulcast.cancel_run(answer.id)
        raise


def _publish(run: Run, chunk: dict[str, Any]) -> None:
    try:
        run.publish(chunk)
    except InvalidEventError:  # larger than an event may be, or nested deeper than JSON can be written
        raise chunks.garbage() from None


def stream(answer: Answer, grant: Grant, **options: Any) -> Response:
    """Return the answer as a stream from its beginning, once it has begun, or waits for its turn. Switches.

    Args:
        options: As in `follow`.

    Raises:
        ApiError: It ended before its first chunk.
    """
    if answer.turn.wait(_TURN_SECONDS):
        answer.begun.wait(FIRST_SECONDS)
    if answer.ended.is_set() and not answer.has_begun:
        _made(answer, grant)
    return follow(answer.id, grant, **{"resume": None, "meta": answers.ASKER_META, **options})


def follow(id: str, grant: Grant, **options: Any) -> Response:
    """Return the stream of an answer.

    Args:
        options: As in `Simulcast.sse`. The encoding is OpenAI's by default.
    """
    fixed = {"grant": grant, "view": wire.only_of_answer, "heartbeat_as_comment": True}
    response = simulcast.run_sse(id, **{"encoding": wire.OPENAI, **options, **fixed})
    response.headers[ID_HEADER] = id
    return response


def whole(answer: Answer, grant: Grant) -> schemas.Completion:
    """Wait for the whole answer, while the client waits. Switches.

    Raises:
        ApiError: There is none.
    """
    with simulcast.client_gone() as gone:
        while not (answer.ended.wait(_LOOK_SECONDS) or gone.is_set()):
            pass
    if answer.is_for_client and gone.is_set():
        simulcast.cancel_run(answer.id)
    return _made(answer, grant)


def _made(answer: Answer, grant: Grant) -> schemas.Completion:
    told = result(answer.id, grant)
    if told.status in ("failed", "cancelled"):
        raise _failure(told)
    return told


def result(id: str, grant: Grant) -> schemas.Completion:
    """Return an answer as far as it has come. Switches.

    Raises:
        NoSuchRunError: As `access.find`.
    """
    return transcript.read(access.find(id, grant))


def _failure(told: schemas.Completion) -> ApiError:
    assert isinstance(told.error, schemas.Failure)
    code = told.error.code
    status, headers = _STATUSES.get(code, 502), {ID_HEADER: told.id}
    if status in _AGAIN:
        headers["Retry-After"] = "1"
    return ApiError(status, code, told.error.message, headers)
