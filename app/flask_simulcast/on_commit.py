"""Publishing when a database transaction commits: one that is rolled back notifies nobody.

What is published here waits in the session, and goes out right after the commit. Data that is a function is asked for
between the last flush and the commit: then a new row has its key and its defaults, and a function that raises still stops the
commit. All other data is checked and encoded at once.

Between the commit and the publish a process that is killed publishes nothing: the row is there, the event is not. An app that
can't have that needs an outbox table.
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
#: Checks and encodes what is to be published.
MakeDrafts = Callable[[], list[Draft]]


class _Waiting:
    """What waits for a transaction.

    Args:
        transaction: In which it was asked for: the session's outermost, or a savepoint.
        make_drafts: Called once, when the data is to be asked for.
        publish: Takes what it made.
    """

    __slots__ = ("_drafts", "_make_drafts", "publish", "transaction")

    def __init__(self, transaction: Any, make_drafts: MakeDrafts, publish: Publish) -> None:
        self.transaction = transaction
        self.publish = publish
        self._make_drafts = make_drafts
        self._drafts: list[Draft] | None = None

    @property
    def drafts(self) -> list[Draft]:
        """Made at the first look."""
        if self._drafts is None:
            self._drafts = self._make_drafts()
        return self._drafts


def publish_on_commit(session: Any, make_drafts: MakeDrafts, publish: Publish, *, is_late: bool) -> None:
    """Publish after the session's outermost transaction has committed; forget it if this one, or the savepoint in which
    it was asked for, is rolled back.

    Args:
        session: A SQLAlchemy ``Session``, or a ``scoped_session``.
        make_drafts: Checks and encodes what is to be published.
        publish: Called with all that waited, in order. If the log does not take it, that is logged: the commit has been made.
        is_late: Make the drafts before the commit, after the flush, and not now.
    """
    from sqlalchemy import event
    from sqlalchemy.orm import Session, scoped_session

    own: Session = session() if isinstance(session, scoped_session) else session
    waiting = own.info.setdefault(_WAITING, [])
    # Where nothing has begun yet, the next statement begins it.
    transaction = own.get_nested_transaction() or own.get_transaction() or own.begin()
    one = _Waiting(transaction, make_drafts, publish)
    if not is_late:
        one.drafts  # noqa: B018 - what can't be published is found out by the caller
        if own.new:
            _log.warning(
                "publish_on_commit was given data while the session holds rows that are not flushed: %s. They have no key "
                "and no defaults yet. Give a function, which is called after the flush: order.as_dict.",
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
        return  # a savepoint is released; what holds it may go on to change the rows
    waiting = session.info.get(_WAITING, [])
    if waiting:
        session.flush()
    for one in waiting:
        one.drafts  # noqa: B018 - one that raises stops the commit


def _after_commit(session: Any) -> None:
    if session.in_nested_transaction():
        return  # a savepoint was released; what holds it may still be rolled back
    waiting = session.info.pop(_WAITING, [])
    by_publish: dict[Publish, list[Sequence[Draft]]] = {}
    for one in waiting:
        by_publish.setdefault(one.publish, []).append(one.drafts)
    for publish, batches in by_publish.items():
        _publish(publish, batches)


def _publish(publish: Publish, batches: Sequence[Sequence[Draft]]) -> None:
    """All together; where one has a key that is known of another event, each by itself, so that it alone is left out."""
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
    """A session that is closed has not been committed, and no rollback is told of."""
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
