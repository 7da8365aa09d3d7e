"""The actions: add a prompt, wait for its turn, keep its answer, read and remove conversations.

A turn is open until its answer is kept in the database. It holds up the prompts behind it only while its run goes on, so a killed
worker blocks none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row
from sqlalchemy.exc import OperationalError

from ....channels import CONVERSATION
from ....extensions import simulcast
from ....flask_simulcast import Grant, Run
from ....flask_simulcast.errors import BrokerError, NoSuchRunError
from ....web import limits
from ....web.errors import ApiError
from ..questions import Question
from ..schemas import MAX_MESSAGES
from . import access, schemas, store, turns

#: As of one request: many times what a model reads.
_MOST_CHARACTERS = 1 << 20
_MOST_WAITING = 10
_TITLE_CHARACTERS = 80
_LOOK_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Turn(NamedTuple):
    """A prompt that is in the database.

    Attributes:
        row: Its row.
        channel: Where its conversation is told.
    """

    row: Row[Any]
    channel: str


def add(name: str, question: Question, grant: Grant, completion: str) -> Turn:
    """Add a prompt to the conversation of this name. Switches.

    Raises:
        ApiError: 400: that can be no name. 409: the conversation is busy or full, or there are too many. 429: too many prompts wait.
    """
    access.check_id(name, grant)
    owner, now_ms = access.owner_of(grant), _now_ms()
    known = store.find(owner, name)
    over = set() if known is None else {row.completion for row in store.open_turns(known.id) if not turns.is_open(row)}
    prompt = question.fields["messages"]
    removed: Sequence[Row[Any]] = ()
    with store.locked(owner, name, _title(question), now_ms) as conversation:
        _check_turn(len(set(conversation.open_turns()) - over), question)
        _check_size(conversation.size(), prompt)
        surplus = conversation.count_of_owner() - schemas.MOST_CONVERSATIONS
        if conversation.is_new and surplus > 0:
            if grant.user:
                raise ApiError(
                    409,
                    "too_many_conversations",
                    f"You have {schemas.MOST_CONVERSATIONS} conversations. Delete one, then ask again.",
                )
            removed = conversation.remove_oldest(surplus)
        row = conversation.add_turn(completion, question.model, prompt, now_ms)
    with suppress(BrokerError):  # the prompt is stored, whether their listeners are told or not
        tell_removed(removed)
    return Turn(row, channel_of(conversation.row))


def take_back(turn: Turn) -> None:
    """Undo an `add` whose answer did not start."""
    store.take_back(turn.row.id, turn.row.conversation_id)


def wait(turn: Turn, run: Run) -> list[dict[str, Any]]:
    """Wait until the turns before this one have ended. Return what was said in them. Switches.

    Raises:
        RunEndedError: The answer was cancelled meanwhile.
    """
    is_away = False
    while True:
        try:
            if not _is_held_up(turn):
                return _begin(turn)
        except (BrokerError, OperationalError) as error:  # an outage ends no answer
            if not is_away:
                _log.warning("The prompt %s waits through an outage: %s", turn.row.completion, error)
            is_away = True
        run.sleep(_LOOK_SECONDS)


def _is_held_up(turn: Turn) -> bool:
    return any(turns.is_open(row) for row in store.open_turns(turn.row.conversation_id, before=turn.row.id))


def _begin(turn: Turn) -> list[dict[str, Any]]:
    """Note that the time of a turn has come. Return what was said before. Switches."""
    before = store.turns(turn.row.conversation_id, before=turn.row.id)
    said = [message for row in before for message in turns.as_history(turns.read(row))]
    store.begin(turn.row.id)
    return said


def keep(turn: Turn) -> bool:
    """Keep the answer of a turn in the database, if it has ended, and tell so. Return whether it has ended. Switches.

    A worker that is killed in between leaves the turn open, so it is kept and told again.
    """
    made = turns.made(turn.row)
    if made.status in store.OPEN:
        return False
    id = turn.row.completion
    ended = msgspec.to_builtins(schemas.Ended(id, made.status, made.pieces, made.error))
    simulcast.publish(turn.channel, ended, type="ended", idempotency_key=f"{id}-ended")
    error = None if made.error is msgspec.UNSET else store.as_text(msgspec.to_builtins(made.error))
    answer = None if made.answer is None else _bounded(made.answer)
    store.end(turn.row.id, made.status, answer, error)
    return True


def keep_part(turn: Turn, text: str) -> None:
    """Keep the text of an answer as far as it has come, in case that the log is lost with the server."""
    store.keep_part(turn.row.id, _bounded({"role": "assistant", "content": text}))


def read(row: Row[Any]) -> schemas.Conversation:
    """Return a conversation with all that was said, and the answer that is being made as far as it has come. Switches.

    Raises:
        ApiError: 429 ``read_rate``.
    """
    limits.check_read()
    position = str(simulcast.hub.position)  # first: what is said meanwhile is behind it
    rows = store.turns(row.id)
    limits.count_read(sum(len(turn.prompt) + len(turn.answer or "") for turn in rows))
    said = [turns.read(turn) for turn in rows]
    return schemas.Conversation(row.name, row.title, row.created_ms // 1000, row.spoken_ms // 1000, said, position)


def every(grant: Grant, limit: int) -> schemas.Conversations:
    """Return the user's conversations, the last one spoken in first."""
    rows = store.every(access.owner_of(grant), limit)
    return schemas.Conversations(
        [schemas.Listed(row.name, row.title, row.created_ms // 1000, row.spoken_ms // 1000) for row in rows]
    )


def remove(row: Row[Any]) -> None:
    """Remove a conversation, and cancel its answers. Switches."""
    for turn in store.open_turns(row.id):
        with suppress(NoSuchRunError):
            simulcast.cancel_run(turn.completion)
    store.remove(row.id)
    tell_removed([row])


def tell_removed(rows: Sequence[Row[Any]]) -> None:
    """Tell the listeners of conversations that these were removed. May switch."""
    for row in rows:
        simulcast.publish(channel_of(row), {}, type="deleted")


def channel_of(row: Row[Any]) -> str:
    """Return the channel of a conversation. One of the same name that was deleted had another."""
    return CONVERSATION + sha256(f"{row.id} {row.owner} {row.name} {row.created_ms}".encode()).hexdigest()[:32]


def _check_turn(ahead: int, question: Question) -> None:
    if ahead and question.when_busy == "refuse":
        raise ApiError(
            409,
            "conversation_busy",
            "An answer is being made in this conversation. Wait for its end, or ask with `when_busy` `wait`.",
        )
    if ahead > _MOST_WAITING:
        raise ApiError(
            429,
            "too_many_waiting",
            f"{_MOST_WAITING} prompts wait in this conversation. Wait until some are answered.",
            {"Retry-After": "5"},
        )


def _check_size(size: store.Size, prompt: list[dict[str, Any]]) -> None:
    characters = size.characters + len(store.as_text(prompt))
    if size.messages + len(prompt) >= MAX_MESSAGES or characters > _MOST_CHARACTERS:
        raise ApiError(
            409,
            "conversation_full",
            f"A conversation has at most {MAX_MESSAGES} messages and {_MOST_CHARACTERS} characters. Begin a new one.",
        )


def _bounded(answer: dict[str, Any]) -> str:
    """Return an answer as it is kept. One that is too large keeps the beginning of its text."""
    text = store.as_text(answer)
    if len(text) <= _MOST_CHARACTERS:
        return text
    return store.as_text({"role": answer["role"], "content": str(answer.get("content"))[: _MOST_CHARACTERS // 2]})


def _title(question: Question) -> str:
    said = next((message.text for message in question.messages if message.role == "user"), "")[: 4 * _TITLE_CHARACTERS]
    return " ".join("".join(one if one.isprintable() else " " for one in said).split())[:_TITLE_CHARACTERS]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
