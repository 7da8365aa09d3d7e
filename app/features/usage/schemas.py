"""Requests and answers about usage. The same types check and document them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

#: With it, 64 bits hold the sum of nine billion records.
MAX_CREDITS = 1_000_000_000
MAX_NAME_CHARACTERS = 64
_MAX_ID = 2**63 - 1
_MAX_LIMIT = 1000

Credits = Annotated[int, Meta(ge=0, le=MAX_CREDITS, description="Credits that the call used.", examples=[12])]
Model = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        description="Name of the model, of printable characters.",
        examples=["sonnet"],
    ),
]
Sum = Annotated[int, Meta(description="Sum of the credits.")]
Count = Annotated[int, Meta(description="Number of records.")]
Time = Annotated[str, Meta(description="RFC 3339, in UTC, to the millisecond.", examples=["2026-01-02T03:04:05.678Z"])]
Hours = Annotated[
    str,
    Meta(
        description="Number of hours back from now. A number that is not above 0, and what is no whole number, count as 1. "
        "The most is `SIMULCAST_USAGE_DAYS` in hours.",
        extra_json_schema={"examples": ["24"]},
    ),
]


Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with a zone. Defaults to the time of the request.")]


class Record(Struct, rename="camel", forbid_unknown_fields=True):
    """A record to store."""

    credits_used: Credits
    model: Model
    created_at: Moment | UnsetType = UNSET


Records = Annotated[Record | list[Record], Meta(examples=[{"creditsUsed": 12, "model": "sonnet"}])]


class Recorded(Struct):
    """The ids of the records, in the order of the request."""

    ids: list[int]


class Usage(Struct, rename="camel"):
    """A record."""

    id: int
    credits_used: Credits
    created_at: Time
    model: Model
    user: (
        Annotated[str, Meta(description="For whom this service made an answer: the first 64 characters.")] | UnsetType
    ) = UNSET


class Usages(Struct):
    """Records, the oldest first, written row by row."""

    usage: list[Usage]


class ListQuery(Struct):
    """Which records."""

    hours: Hours = "1"
    model: Annotated[str, Meta(description="Only records of this model.")] = ""
    before: Annotated[
        int,
        Meta(
            ge=0,
            le=_MAX_ID,
            description="Id of a record: only the newest `limit` records that stand before it. None if it is no longer kept.",
        ),
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=_MAX_LIMIT, description="Maximum number of records, with `before`.")] = (
        _MAX_LIMIT
    )


class StreamQuery(Struct):
    """Which records."""

    hours: Hours = "1"
    last_event_id: Annotated[
        str, Meta(description="Position to resume from, for a client that can't send `Last-Event-ID`. The header wins.")
    ] = ""


class SummaryQuery(Struct):
    """Which records, and how they are grouped."""

    hours: Hours = "1"
    by: Annotated[Literal["model", "hour"], Meta(description="What a group has in common.")] = "model"


class Group(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """The sum of one model, or of one hour."""

    model: Annotated[str, Meta(description="With `by=model`.")] | UnsetType = UNSET
    hour: Annotated[Time, Meta(description="Begin of the hour, with `by=hour`.")] | UnsetType = UNSET
    credits_used: Sum
    count: Count


class UsageSummary(Struct, rename="camel"):
    """Sums over the last hours."""

    hours: int
    credits_used: Sum
    count: Count
    groups: Annotated[list[Group], Meta(description="Models, the largest sum first; or hours, the oldest first.")]


class SourceState(Struct, rename="camel"):
    """The last polls of a source."""

    name: str
    polls: Annotated[int, Meta(description="Number of polls.")]
    failures: Annotated[int, Meta(description="Number of polls that brought no list.")]
    error: Annotated[str | None, Meta(description="Why the last poll brought no list; null if it brought one.")]
    polled_at: Annotated[Time | None, Meta(description="Time of the last poll; null if there was none.")]
    changed_at: Annotated[Time | None, Meta(description="Time at which its list changed; null if there was none.")]


class Sources(Struct):
    """The sources that are polled."""

    sources: list[SourceState]
