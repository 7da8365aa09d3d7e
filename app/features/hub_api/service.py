"""What the routes read, and their answers, made from the extension's results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar

from flask import Request
from msgspec import UNSET, Raw

from ...extensions import simulcast
from ...flask_simulcast import Event, Grant, History
from ...web import body, limits, reads
from ...web.here import this_app
from . import reading, schemas

T = TypeVar("T")


def events_of(request: Request, text: bytes) -> list[schemas.Event]:
    """Read the events in the body of a request. May switch. Raises as `reading.read_events`."""
    config, hub = this_app().config, simulcast.hub
    bounds = reading.Bounds(
        config["SIMULCAST_MAX_BATCH_EVENTS"], hub.settings.max_event_bytes, config["SIMULCAST_MAX_BODY_BYTES"]
    )
    kind = body.media_type(request.environ.get("CONTENT_TYPE", ""))
    return reading.read_events(text, kind, key_of(request), bounds, hub.breathe)


def key_of(request: Request) -> str | None:
    """Return the idempotency key in the head of a request."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    return key


def published(event: Event) -> schemas.Published:
    """Return the answer for one event."""
    return schemas.Published(str(event.position))


def published_many(events: Sequence[Event]) -> schemas.PublishedMany:
    """Return the answer for several events."""
    return schemas.PublishedMany([str(event.position) for event in events])


def history_page(history: History) -> schemas.HistoryPage:
    """Return the answer for a page of history, with the data of its events as it was stored."""
    gap = history.gap
    return schemas.HistoryPage(
        events=[
            schemas.HistoryEvent(
                str(event.position), event.channel, event.type, event.time_ms, Raw(event.data), event.is_raw or UNSET
            )
            for event in history.events
        ],
        gap=None if gap is None else schemas.GapData(gap["reason"], list(gap["channels"]), gap["from"], gap["to"]),
        position=str(history.position),
        has_more=history.has_more,
    )


def members_page(channel: str, after: str, limit: int) -> schemas.MembersPage:
    """Return a page of the members of a channel, over all workers."""
    rows = reads.of_rows(lambda: simulcast.members(channel, after=after, limit=limit + 1), len)
    found, has_more = _page(rows, limit)
    members = [schemas.Member(one.member, Raw(one.meta), one.since_ms, one.listeners) for one in found]
    return schemas.MembersPage(channel, members, len(members), members[-1].member if has_more else None)


def listeners_page(query: schemas.ListenersQuery) -> schemas.ListenersPage:
    """Return a page of the connections of all workers."""
    rows = reads.of_rows(
        lambda: simulcast.listeners(after=query.after, limit=query.limit + 1, channel=query.channel, user=query.user),
        len,
    )
    found, has_more = _page(rows, query.limit)
    listeners = [
        schemas.Listener(
            one.listener, one.user, one.member, list(one.channels), Raw(one.meta), one.encoding, one.since_ms
        )
        for one in found
    ]
    return schemas.ListenersPage(listeners, listeners[-1].id if has_more else None)


def issue_ticket(grant: Grant, seconds: int) -> schemas.Ticket:
    """Issue a ticket for the grant of the current request."""
    limits.check_ticket()
    left = seconds if grant.expires_at is None else grant.expires_at - time.time()
    return schemas.Ticket(simulcast.issue_ticket(grant, seconds=seconds), int(max(min(seconds, left), 0)))


def _page(found: list[T], limit: int) -> tuple[list[T], bool]:
    """Cut off the one item that was read beyond the page, and tell whether there was one."""
    return found[:limit], len(found) > limit
