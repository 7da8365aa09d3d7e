"""What is done with records: stored and published, listed, and summed up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from typing import Any

from flask import current_app
from msgspec import UNSET

from ...extensions import db, simulcast
from ...flask_simulcast import BrokerUnavailableError, IdempotencyKey
from ...web.errors import ApiError
from . import events, schemas, store
from .events import CHANNEL, HOUR_MS, MAX_ROWS, USAGE

#: A new listener gets the newest of its hours, in one chunk of about 100 KiB; GET /api/v1/usage lists all.
SNAPSHOT_ROWS = 1000
#: A client's clock may be ahead of ours.
_AHEAD_MS = 300_000
_DAY_MS = 24 * HOUR_MS
# With more names a summary would no longer fit into one answer.
_MAX_GROUPS = 10_000
# No record is larger as JSON: two names of 64 characters have at most 512 bytes.
_RECORD_BYTES = 640


def hours_of(text: str) -> int:
    """Return the number of hours that a query asks for. A number that is not above 0, and no number, count as 1.

    Raises:
        ApiError: 400 ``hours``: they are more than the service keeps.
    """
    try:
        hours = int(text)
    except ValueError:
        return 1
    most = 24 * _days()
    if hours > most:
        raise ApiError(
            400, "hours", f"Records are kept for {most} hours (SIMULCAST_USAGE_DAYS). Ask for at most these."
        )
    return max(hours, 1)


def record(drafts: Sequence[schemas.Record], sender: str, key: str | None) -> list[int]:
    """Store records and publish them, all or none. May switch.

    Args:
        sender: Whose the key is.
        key: A second request of the sender with this key stores nothing, and publishes what its listeners perhaps lack.

    Returns:
        Their ids, in this order.

    Raises:
        ApiError: 400 for a time out of range; 409 if the key was used for other records.
        BrokerUnavailableError: Nothing is stored.
        PublishUncertainError: They are stored, but listeners perhaps do not know them.
    """
    now_ms = _now_ms()
    origins = [None] * len(drafts) if key is None else [origin_of(sender, key, n) for n in range(len(drafts))]
    records = [
        store.New(draft.credits_used, draft.model, _created_ms(draft, number, now_ms), origin)
        for number, (draft, origin) in enumerate(zip(drafts, origins, strict=True))
    ]
    stored = keep(records, all_or_none=True)
    if not stored:
        stored = store.of_origins([*filter(None, origins), origin_of(sender, key, len(drafts))])
        _check_same(drafts, stored)
        _publish(stored)
    return [row.id for row in stored]


def keep(records: Sequence[store.New], *, all_or_none: bool = False) -> list[Any]:
    """Store those that are new, and publish them. Remove some that are too old. May switch.

    Args:
        all_or_none: Store none if one of them is stored already.

    Returns:
        The new ones.

    Raises:
        BrokerUnavailableError, PublishUncertainError: As in `record`.
    """
    store.remove_before(_now_ms() - _days() * _DAY_MS)
    added = store.add(records, all_or_none=all_or_none)
    try:
        _publish(added)
    except BrokerUnavailableError:
        store.remove([row.id for row in added])
        raise
    return added


def is_kept(created_ms: int) -> bool:
    """Tell whether a record of this time is kept: not one that is too old, or not yet."""
    now_ms = _now_ms()
    return now_ms - _days() * _DAY_MS <= created_ms <= now_ms + _AHEAD_MS


def origin_of(*parts: object) -> bytes:
    """Return the origin of a record whose request or source these parts name."""
    return blake2b("\n".join(map(repr, parts)).encode(), digest_size=16).digest()


def snapshot(hours: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the newest records of the last hours, the oldest first, at most 100 at a time."""
    return _batches(store.newest(_since_ms(hours), SNAPSHOT_ROWS))


def every(hours: int, model: str) -> Iterator[dict[str, Any]]:
    """Return the records of the last hours, the oldest first. Needs an app context now, not while they are read."""
    return map(events.as_dict, store.every(db.engine, _since_ms(hours), model))


def older(hours: int, model: str, before: int, limit: int) -> Iterator[dict[str, Any]]:
    """Return the newest records of the last hours that stand before the one with this id, the oldest first."""
    return map(events.as_dict, store.newest(_since_ms(hours), limit, model=model, before=before))


def summary(hours: int, by: str) -> schemas.UsageSummary:
    """Sum up the last hours. Lets others in between. Switches.

    Args:
        by: ``model`` or ``hour``.

    Raises:
        ApiError: 400 ``too_many_groups``.
    """
    credits, counts = Counter[Any](), Counter[Any]()
    for part in store.totals(_since_ms(hours), _now_ms() + _AHEAD_MS, by):
        credits[part.key] += part.credits_used
        counts[part.key] += part.records
        if len(counts) > _MAX_GROUPS:
            raise ApiError(400, "too_many_groups", f"There are more than {_MAX_GROUPS} models. Ask for fewer hours.")
        simulcast.hub.breathe()
    if by == "model":
        names = sorted(credits, key=lambda name: (-credits[name], name))
        groups = [schemas.Group(model=name, credits_used=credits[name], count=counts[name]) for name in names]
    else:
        begins = [(hour, events.time_text(hour * HOUR_MS)) for hour in sorted(credits)]
        groups = [schemas.Group(hour=begin, credits_used=credits[hour], count=counts[hour]) for hour, begin in begins]
    return schemas.UsageSummary(hours, credits.total(), counts.total(), groups)


def _check_same(drafts: Sequence[schemas.Record], found: Sequence[Any]) -> None:
    """Check that a request repeats the one that stored these.

    Raises:
        ApiError: 409.
    """
    asked = [(draft.credits_used, draft.model) for draft in drafts]
    times = [None if draft.created_at is UNSET else milliseconds(draft.created_at) for draft in drafts]
    is_same = asked == [(row.credits_used, row.model) for row in found] and all(
        time_ms in (None, row.created_ms) for time_ms, row in zip(times, found, strict=True)
    )
    if not is_same:
        raise ApiError(
            409,
            "idempotency_conflict",
            "The Idempotency-Key was used for other records. Send the same again to repeat it, or use a new key.",
        )


def _created_ms(draft: schemas.Record, number: int, now_ms: int) -> int:
    """Return the time of a record.

    Raises:
        ApiError: 400 ``created_at``.
    """
    if draft.created_at is UNSET:
        return now_ms
    created_ms = milliseconds(draft.created_at)
    if not is_kept(created_ms):
        raise ApiError(
            400,
            "created_at",
            f"Record {number}: createdAt must lie within the last {_days()} days, which is how long records are kept. Correct "
            "it, or leave it out for now.",
        )
    return created_ms


def milliseconds(moment: datetime) -> int:
    """Return Unix time in ms."""
    return int(moment.timestamp() * 1000)


def _publish(rows: Sequence[Any]) -> None:
    """Publish records. Those that have an origin may be published again: their key makes it one event."""
    drafts: list[dict[str, Any]] = []
    for batch, first in zip(_batches(rows), rows[:: _rows_an_event()], strict=True):
        drafts.append({"channel": CHANNEL, "type": USAGE, "data": batch})
        if first.origin is not None:
            drafts[-1]["idempotency_key"] = IdempotencyKey(first.origin.hex(), USAGE)
    if drafts:
        simulcast.publish_many(drafts)


def _batches(rows: Iterable[Any]) -> Iterator[list[dict[str, Any]]]:
    rest, size = iter(rows), _rows_an_event()
    while batch := [events.as_dict(row) for row in islice(rest, size)]:
        yield batch


def _rows_an_event() -> int:
    return max(min(MAX_ROWS, simulcast.settings.max_event_bytes // _RECORD_BYTES), 1)


def _since_ms(hours: int) -> int:
    return _now_ms() - hours * HOUR_MS


def _days() -> int:
    return int(current_app.config["SIMULCAST_USAGE_DAYS"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
