"""Publishing when a database transaction commits: one that is rolled back notifies nobody.

What is published here is checked and encoded at once, waits in the session, and goes out right after the commit. Between
the two a process that is killed publishes nothing: the row is there, the event is not. Who can't have that needs an
outbox table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from .errors import BrokerError
from .event import Draft

_WAITING = "simulcast_waiting"
_log = logging.getLogger("flask_simulcast")

Publish = Callable[[Sequence[Draft]], object]


def publish_on_commit(session: Any, drafts: Sequence[Draft], publish: Publish) -> None:
    """Publish after the session's outermost transaction has committed; forget it if this one, or the savepoint in which
    it was asked for, is rolled back.

    Args:
        session: A SQLAlchemy ``Session``, or a ``scoped_session``.
        drafts: Checked and encoded.
        publish: Called with all that waited, in order. If the log does not take it, that is logged: the commit has been made.
    """
    from sqlalchemy import event
    from sqlalchemy.orm import Session, scoped_session

    own: Session = session() if isinstance(session, scoped_session) else session
    waiting = own.info.setdefault(_WAITING, [])
    # Where nothing has begun yet, the next statement begins it.
    transaction = own.get_nested_transaction() or own.get_transaction() or own.begin()
    waiting.append((transaction, drafts, publish))
    for name, listener in _LISTENERS.items():
        if not event.contains(own, name, listener):
            event.listen(own, name, listener)


def _after_commit(session: Any) -> None:
    if session.in_nested_transaction():
        return  # a savepoint was released; what holds it may still be rolled back
    waiting = session.info.pop(_WAITING, [])
    by_publish: dict[Publish, list[Draft]] = {}
    for _, drafts, publish in waiting:
        by_publish.setdefault(publish, []).extend(drafts)
    for publish, together in by_publish.items():
        try:
            publish(together)
        except BrokerError as error:
            _log.error("%d events of a committed transaction were not published: %s", len(together), error)


def _after_soft_rollback(session: Any, rolled_back: Any) -> None:
    waiting = session.info.get(_WAITING, [])
    waiting[:] = [row for row in waiting if not _is_within(row[0], rolled_back)]


def _after_transaction_end(session: Any, transaction: Any) -> None:
    """A session that is closed has not been committed, and no rollback is told of."""
    if transaction.parent is None:
        session.info.pop(_WAITING, None)


_LISTENERS: dict[str, Callable[..., None]] = {
    "after_commit": _after_commit,
    "after_soft_rollback": _after_soft_rollback,
    "after_transaction_end": _after_transaction_end,
}


def _is_within(transaction: Any, outer: Any) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer
