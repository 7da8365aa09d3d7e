"""Notifications, as their users get them. The row is stored first; then its event is published, which gives it its position.

If the worker is killed in between, the event is published when the user comes back or gets the next notification. The row's key
is the idempotency key of the event, so no listener gets it twice.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import Any

from flask import current_app
from sqlalchemy import Row

from ...channels import NOTIFICATIONS, poses_as
from ...extensions import db, simulcast
from ...flask_simulcast import BrokerUnavailableError, Event, Position
from ...web.errors import ApiError
from . import schemas, store

NOTIFICATION, READ, NOTICE, UNREAD = "notification", "notification-read", "notice", "unread"
_OWN = frozenset({NOTIFICATION, READ, UNREAD})
#: Unread rows of one user: a user who reads none must not fill the database.
_MAX_UNREAD = 1000
_ROWS_A_TIME = 50
_DAY_MS = 86_400_000


def channel_of(user: str) -> str:
    """Return the channel of a user's notifications. A hash, because a user's name can have any character."""
    return NOTIFICATIONS + sha256(user.encode()).hexdigest()[:32]


def own(event: Event) -> Event | None:
    """Drop a broadcast, or an event for a user, that has the name of one of a notification's events: no row stands behind it. Pure."""
    return None if poses_as(event, _OWN) else event


def notify(body: schemas.Notify, sender: str, key: str | None) -> schemas.SentNotification:
    """Store a notification, and publish it to its user. May switch.

    Args:
        sender: The client that notifies.
        key: A second notification of this sender with this key is the same one.

    Raises:
        ApiError: 409 ``too_many_unread``, ``idempotency_conflict``.
        EventTooLargeError: As in `Simulcast.publish`.
        BrokerUnavailableError: Certainly not stored.
        PublishUncertainError: It is stored, and the user gets it, perhaps later. Try again only with a key.
    """
    now_ms = _now_ms()
    simulcast.check(channel_of(body.user_id), _data(body, now_ms), type=NOTIFICATION)
    store.forget(now_ms - current_app.config["SIMULCAST_NOTIFICATION_DAYS"] * _DAY_MS, _ROWS_A_TIME)
    row_key = _row_key(sender, key)
    if key is None or not store.has_key(row_key):  # a repeated one takes no room
        _check_room(body.user_id)
    _publish_waiting(body.user_id)
    row, is_new = store.add(body.user_id, body.type, body.message, now_ms, row_key)
    if (row.user_id, row.type, row.message) != (body.user_id, body.type, body.message):
        raise ApiError(
            409, "idempotency_conflict", "The Idempotency-Key was used for another notification. Use a new one."
        )
    try:
        return schemas.SentNotification(_publish(row))
    except BrokerUnavailableError:
        if is_new:
            store.take_back(row.id)
        raise


def notice(body: schemas.Notice) -> schemas.SentNotification:
    """Broadcast a message to everyone who listens to anything. It is not stored in the database. May switch."""
    return schemas.SentNotification(str(simulcast.broadcast(_data(body, _now_ms()), type=NOTICE).position))


def unread(user: str, before: int = 0, limit: int = _ROWS_A_TIME, *, up_to: Position | None = None) -> schemas.Unread:
    """Return a page of the user's unread notifications. May switch.

    Args:
        before: ``next`` of the previous page; 0 for the newest.
        limit: Maximum number of notifications.
        up_to: Leave out those with a later position: a stream that starts there will have them.
    """
    _publish_waiting(user)
    rows = store.unread(user, before, limit + 1)
    page = [row for row in rows[:limit] if up_to is None or _is_up_to(row, up_to)]
    later = len(rows[:limit]) - len(page)
    return schemas.Unread(
        count=store.count_unread(user) - later,
        notifications=[schemas.Notification(row.position, row.type, row.message, row.created_ms) for row in page],
        next=rows[limit - 1].id if len(rows) > limit else None,
    )


def read(user: str, position: str) -> None:
    """Mark a notification as read, and tell the user's other devices, once. May switch.

    Raises:
        ApiError: 404: the user has no such notification.
    """
    at, now_ms = Position.parse(position), _now_ms()
    if at is None or not store.exists(user, str(at)):
        raise ApiError(
            404,
            "no_such_notification",
            "You have no notification with this position. Perhaps it was deleted after you had read it.",
        )
    if store.mark_read(user, str(at), now_ms):
        simulcast.publish_on_commit(channel_of(user), {"position": str(at)}, type=READ)
    db.session.commit()


def _row_key(sender: str, key: str | None) -> str:
    """Return the key of a row: a client's key counts for this client alone, and a notification without one is always new."""
    if key is None:
        return secrets.token_hex(16)
    return sha256(f"{sender}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _check_room(user: str) -> None:
    if store.count_unread(user) >= _MAX_UNREAD:
        raise ApiError(
            409, "too_many_unread", f"{_MAX_UNREAD} notifications of this user are unread. Wait until some are read."
        )


def _publish_waiting(user: str) -> None:
    """Publish what a worker that was killed has left."""
    for row in store.unpublished(user, _ROWS_A_TIME):
        _publish(row)


def _publish(row: Row[Any]) -> str:
    """Publish a row's event, if it is not published yet, and return its position."""
    if row.position is None:
        event = simulcast.publish(
            channel_of(row.user_id), _data(row, row.created_ms), type=NOTIFICATION, idempotency_key=row.key
        )
        store.set_position(row.id, str(event.position))
        return str(event.position)
    return str(row.position)


def _is_up_to(row: Row[Any], position: Position) -> bool:
    at = Position.parse(row.position)
    return at is not None and at <= position


def _data(said: Any, time_ms: int) -> dict[str, Any]:
    return {"type": said.type, "message": said.message, "time": time_ms}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
