"""Publish when a database transaction commits. If it is rolled back, no event is published.

The events wait in the session, and are published right after the commit. Data that is a function is called between the last
flush and the commit: then a new row has its key and its defaults, and a function that raises still stops the commit. All other
data is checked and encoded at once.

A process that is killed between the commit and the publish publishes nothing: the row exists, the event does not. An app that
can't accept that needs an outbox table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask

from .errors import BrokerError, IdempotencyConflictError
from .event import Draft

_WAITING = "simulcast_waiting"
_log = logging.getLogger("flask_simulcast")

Publish = Callable[[Sequence[Draft]], object]
#: Checks and encodes the events to publish.
MakeDrafts = Callable[[], list[Draft]]


class _Waiting:
    """Events that wait for a transaction to commit.

    Args:
        transaction: The transaction of the call: the session's outermost, or a savepoint.
        make_drafts: Makes the drafts. Called once.
        publish: Publishes the drafts.
    """

    __slots__ = ("_drafts", "_make_drafts", "publish", "transaction")

    def __init__(self, transaction: Any, make_drafts: MakeDrafts, publish: Publish) -> None:
        self.transaction = transaction
        self.publish = publish
        self._make_drafts = make_drafts
        self._drafts: list[Draft] | None = None

    @property
    def drafts(self) -> list[Draft]:
        """The drafts, made on first access."""
        if self._drafts is None:
            self._drafts = self._make_drafts()
        return self._drafts


def publish_on_commit(session: Any, make_drafts: MakeDrafts, publish: Publish, *, is_late: bool) -> None:
    """Publish after the session's outermost transaction has committed. If that transaction, or the savepoint of this call, is
    rolled back, the events are dropped.

    Args:
        session: A SQLAlchemy ``Session``, or a ``scoped_session``.
        make_drafts: Checks and encodes the events to publish.
        publish: Called with all waiting drafts, in order. An error of the log is logged, because the commit is already made.
        is_late: True to make the drafts after the flush and before the commit; False to make them now.
    """
    from sqlalchemy import event
    from sqlalchemy.orm import Session, scoped_session

    own: Session = session() if isinstance(session, scoped_session) else session
    waiting = own.info.setdefault(_WAITING, [])
    # If no transaction has begun yet, begin the one of the next statement.
    transaction = own.get_nested_transaction() or own.get_transaction() or own.begin()
    one = _Waiting(transaction, make_drafts, publish)
    if not is_late:
        one.drafts  # noqa: B018 - an event that can't be published raises in the caller
        if own.new:
            _log.warning(
                "publish_on_commit got data while the session holds rows that are not flushed: %s. They have no key "
                "and no defaults yet. Pass a function, which is called after the flush: order.as_dict.",
                ", ".join(sorted({type(row).__name__ for row in own.new}))[:200],
            )
    waiting.append(one)
    for name, listener in _LISTENERS.items():
        if not event.contains(own, name, listener):
            event.listen(own, name, listener)


def session_of_app(app: Flask) -> Any:
    """Return Flask-SQLAlchemy's session.

    Raises:
        RuntimeError: The app has no Flask-SQLAlchemy.
    """
    if "sqlalchemy" not in app.extensions:
        raise RuntimeError(
            "This app has no Flask-SQLAlchemy, so there is no session to wait for. Give publish_on_commit yours: session=…"
        )
    return app.extensions["sqlalchemy"].session


def _before_commit(session: Any) -> None:
    if session.in_nested_transaction():
        return  # a savepoint is released; the outer transaction might still change the rows
    waiting = session.info.get(_WAITING, [])
    if waiting:
        session.flush()
    for one in waiting:
        one.drafts  # noqa: B018 - an error here stops the commit


def _after_commit(session: Any) -> None:
    if session.in_nested_transaction():
        return  # a savepoint was released; the outer transaction might still be rolled back
    waiting = session.info.pop(_WAITING, [])
    by_publish: dict[Publish, list[Sequence[Draft]]] = {}
    for one in waiting:
        by_publish.setdefault(one.publish, []).append(one.drafts)
    for publish, batches in by_publish.items():
        _publish(publish, batches)


def _publish(publish: Publish, batches: Sequence[Sequence[Draft]]) -> None:
    """Publish all batches together. If a key belongs to another event, publish each batch by itself, so that only the
    conflicting batch is left out."""
    together = [draft for batch in batches for draft in batch]
    try:
        publish(together)
    except (BrokerError, IdempotencyConflictError) as error:
        if isinstance(error, IdempotencyConflictError) and len(batches) > 1:
            for batch in batches:
                _publish(publish, [batch])
        else:
            _log.error("%d events of a committed transaction were not published: %s", len(together), error)


def _after_soft_rollback(session: Any, rolled_back: Any) -> None:
    waiting = session.info.get(_WAITING, [])
    waiting[:] = [one for one in waiting if not _is_within(one.transaction, rolled_back)]


def _after_transaction_end(session: Any, transaction: Any) -> None:
    """Drop the events of a session that is closed without a commit: SQLAlchemy reports no rollback for it."""
    if transaction.parent is None:
        session.info.pop(_WAITING, None)


_LISTENERS: dict[str, Callable[..., None]] = {
    "before_commit": _before_commit,
    "after_commit": _after_commit,
    "after_soft_rollback": _after_soft_rollback,
    "after_transaction_end": _after_transaction_end,
}


def _is_within(transaction: Any, outer: Any) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer
