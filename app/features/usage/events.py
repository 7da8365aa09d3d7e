"""The events of usage: ``usage``, whose data is a list of records. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...flask_simulcast import Event

CHANNEL = USAGE = "usage"
HOUR_MS = 3_600_000
#: A client can show an event of this size at once.
MAX_ROWS = 100


@dataclass(frozen=True)
class Within:
    """View that keeps the records of the last hours, counted back from the event. Listeners of equal hours share their bytes."""

    hours: int

    def __call__(self, event: Event) -> Event | None:
        """Return the event with these records alone; None if there are none. Events of others are left as they are."""
        if event.channel != CHANNEL or event.type != USAGE:
            return event
        since = time_text(event.position.milliseconds - self.hours * HOUR_MS)
        try:
            records = json.loads(event.data)
            kept = [record for record in records if record["createdAt"] >= since]
        except (TypeError, KeyError, ValueError, RecursionError):
            return event  # a backend may publish anything to the channel
        if len(kept) == len(records):
            return event
        return event.with_data(kept) if kept else None


def as_dict(row: Any) -> dict[str, Any]:
    """Return a stored record as its readers see it."""
    created_at = time_text(row.created_ms)
    user = {} if row.user_id is None else {"user": row.user_id}
    return {"id": row.id, "creditsUsed": row.credits_used, "createdAt": created_at, "model": row.model, **user}


def time_text(milliseconds: int) -> str:
    """Return a time as RFC 3339 text. Texts have the order of their times."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"
