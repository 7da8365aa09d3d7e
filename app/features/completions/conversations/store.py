"""Conversations in the database, where they outlive the log. The answer of an open turn is still in the log alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Index, Integer, Row, String, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ....database import insert
from ....extensions import db

WAITING, RUNNING = "waiting", "running"
OPEN = (WAITING, RUNNING)


class Conversation(db.Model):  # type: ignore[name-defined, misc]
    """One conversation of one user."""

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(32))  # hash of the user, whose name can have any character
    name: Mapped[str] = mapped_column(String(64))  # the client's id
    title: Mapped[str] = mapped_column(String(80))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    spoken_ms: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (
        Index("ix_conversation_name", "owner", "name", unique=True),
        Index("ix_conversation_spoken", "owner", "spoken_ms"),
        {"sqlite_autoincrement": True},
    )


class ConversationTurn(db.Model):  # type: ignore[name-defined, misc]
    """A prompt and its answer. Ids have the order of the prompts, because a conversation is locked while one is added."""

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(BigInteger)
    completion: Mapped[str] = mapped_column(String(64), unique=True)
    model: Mapped[str] = mapped_column(String(256))
    prompt: Mapped[str] = mapped_column(Text)  # messages, as JSON
    answer: Mapped[str | None] = mapped_column(Text)  # a message, as JSON; of an ended turn
    messages: Mapped[int] = mapped_column(Integer)  # number of both
    status: Mapped[str] = mapped_column(String(16), index=True)
    error: Mapped[str | None] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_conversation_turn_order", "conversation_id", "id"),
        {"sqlite_autoincrement": True},
    )


_conversations, _turns = Conversation.__table__, ConversationTurn.__table__
_FACTS = [_turns.c[name] for name in ("id", "conversation_id", "completion", "status", "created_ms")]
_is_open = ConversationTurn.status.in_(OPEN)


class Size(NamedTuple):
    """What a conversation has."""

    messages: int
    characters: int


class Locked:
    """A conversation to which one prompt is added.

    Attributes:
        row: Its row.
    """

    def __init__(self, connection: Connection, row: Row[Any]) -> None:
        self._connection = connection
        self.row = row

    @property
    def is_new(self) -> bool:
        """Whether this prompt is its first."""
        return bool(self.row.created_ms == self.row.spoken_ms)

    def open_turns(self) -> list[str]:
        """Return the completions of its open turns."""
        query = select(ConversationTurn.completion).where(ConversationTurn.conversation_id == self.row.id, _is_open)
        return list(self._connection.execute(query).scalars())

    def size(self) -> Size:
        """Return what it has."""
        length = func.length(ConversationTurn.prompt) + func.length(func.coalesce(ConversationTurn.answer, ""))
        sums = func.coalesce(func.sum(ConversationTurn.messages), 0), func.coalesce(func.sum(length), 0)
        row = self._connection.execute(select(*sums).where(ConversationTurn.conversation_id == self.row.id)).one()
        return Size(int(row[0]), int(row[1]))

    def count_of_owner(self) -> int:
        """Return the number of its owner's conversations."""
        query = select(func.count()).select_from(_conversations).where(Conversation.owner == self.row.owner)
        return int(self._connection.execute(query).scalar_one())

    def remove_oldest(self, count: int) -> Sequence[Row[Any]]:
        """Remove this number of its owner's other conversations, those that were silent for longest. Return them."""
        mine = Conversation.owner == self.row.owner, Conversation.id != self.row.id
        oldest = select(_conversations).where(*mine).order_by(Conversation.spoken_ms).limit(count)
        removed = self._connection.execute(oldest).all()
        _remove(self._connection, [row.id for row in removed])
        return removed

    def add_turn(self, completion: str, model: str, prompt: Sequence[Mapping[str, Any]], now_ms: int) -> Row[Any]:
        """Add a prompt."""
        values = {
            "conversation_id": self.row.id,
            "completion": completion,
            "model": model,
            "prompt": as_text(prompt),
            "messages": len(prompt) + 1,
            "status": WAITING,
            "created_ms": now_ms,
        }
        return self._connection.execute(_turns.insert().values(values).returning(*_turns.columns)).one()


@contextmanager
def locked(owner: str, name: str, title: str, now_ms: int) -> Iterator[Locked]:
    """Lock a conversation, which is made if it is new. An exception undoes all."""
    values = {"owner": owner, "name": name, "title": title, "created_ms": now_ms, "spoken_ms": now_ms}
    made = insert()(_conversations).values(values)
    kept = made.on_conflict_do_update(index_elements=["owner", "name"], set_={"spoken_ms": now_ms})
    with db.engine.begin() as connection:
        yield Locked(connection, connection.execute(kept.returning(*_conversations.columns)).one())


def find(owner: str, name: str) -> Row[Any] | None:
    """Return a conversation of this owner."""
    query = select(_conversations).where(Conversation.owner == owner, Conversation.name == name)
    with db.engine.connect() as connection:
        return connection.execute(query).one_or_none()


def of_key(id: int) -> Row[Any] | None:
    """Return the conversation that has this key."""
    with db.engine.connect() as connection:
        return connection.execute(select(_conversations).where(Conversation.id == id)).one_or_none()


def every(owner: str, limit: int) -> Sequence[Row[Any]]:
    """Return the owner's conversations, the last one spoken in first."""
    query = select(_conversations).where(Conversation.owner == owner)
    with db.engine.connect() as connection:
        return connection.execute(query.order_by(Conversation.spoken_ms.desc()).limit(limit)).all()


def turns(conversation: int, before: int | None = None) -> Sequence[Row[Any]]:
    """Return the turns of a conversation, the first one first.

    Args:
        before: Only turns before this one.
    """
    query = select(_turns).where(ConversationTurn.conversation_id == conversation).order_by(ConversationTurn.id)
    if before is not None:
        query = query.where(ConversationTurn.id < before)
    with db.engine.connect() as connection:
        return connection.execute(query).all()


def open_turns(conversation: int | None = None, before: int | None = None) -> Sequence[Row[Any]]:
    """Return open turns without what was said in them, the first one first.

    Args:
        conversation: Only turns of this conversation.
        before: Only turns before this one.
    """
    query = select(*_FACTS).where(_is_open).order_by(ConversationTurn.id)
    if conversation is not None:
        query = query.where(ConversationTurn.conversation_id == conversation)
    if before is not None:
        query = query.where(ConversationTurn.id < before)
    with db.engine.connect() as connection:
        return connection.execute(query).all()


def begin(turn: int) -> None:
    """Note that a turn's time has come."""
    with db.engine.begin() as connection:
        connection.execute(update(_turns).where(ConversationTurn.id == turn, _is_open).values(status=RUNNING))


def keep_part(turn: int, answer: str) -> None:
    """Keep an answer as far as it has come."""
    with db.engine.begin() as connection:
        connection.execute(update(_turns).where(ConversationTurn.id == turn, _is_open).values(answer=answer))


def end(turn: int, status: str, answer: str | None, error: str | None) -> None:
    """Keep what came of a turn, once. Without an answer the part that was kept stays."""
    values = {"status": status, "error": error} | ({} if answer is None else {"answer": answer})
    with db.engine.begin() as connection:
        connection.execute(update(_turns).where(ConversationTurn.id == turn, _is_open).values(values))


def take_back(turn: int, conversation: int) -> None:
    """Undo an `add_turn` whose answer did not start. A conversation without turns is removed."""
    with db.engine.begin() as connection:
        connection.execute(delete(_turns).where(ConversationTurn.id == turn))
        has_turns = select(ConversationTurn.id).where(ConversationTurn.conversation_id == conversation).exists()
        connection.execute(delete(_conversations).where(Conversation.id == conversation, ~has_turns))


def remove(conversation: int) -> None:
    """Remove a conversation with all that was said."""
    with db.engine.begin() as connection:
        _remove(connection, [conversation])


def remove_silent(before_ms: int, limit: int) -> Sequence[Row[Any]]:
    """Remove up to ``limit`` conversations in which nothing was said since this time. Return them."""
    query = select(_conversations).where(Conversation.spoken_ms < before_ms).limit(limit)
    with db.engine.connect() as connection:
        removed = connection.execute(query).all()
    if removed:
        with db.engine.begin() as connection:
            _remove(connection, [row.id for row in removed])
    return removed


def as_text(data: object) -> str:
    """Return JSON text that each database can hold: without NUL and halves of surrogate pairs."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(data, separators=(",", ":"))
    return text


def _remove(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(delete(_turns).where(ConversationTurn.conversation_id.in_(ids)))
    connection.execute(delete(_conversations).where(Conversation.id.in_(ids)))
