"""Requests and answers of the routes for operators, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct


class Health(Struct, rename="camel"):
    """Figures of all workers of this machine together, since the server was started."""

    status: str
    active_connections: Annotated[int, Meta(description="Listeners that are connected.")]
    total_messages: Annotated[int, Meta(description="Events handed to listeners.")]
    error_count: Annotated[int, Meta(description="Errors inside the service.")]
    uptime: Annotated[float, Meta(description="Seconds since the server was started.")]
    workers: int


class Ready(Struct):
    """The newest position of the log."""

    status: str
    position: str


class Operations(Struct):
    """The workers of this machine: what they have counted since the server was started, and their last five minutes."""

    host: str
    began: Annotated[int, Meta(description="Unix time in ms at which counting began.")]
    workers: int
    rows: Annotated[list[Any], Meta(description="Each as the data of `figures`, 5 seconds apart, the oldest first.")]


class ChannelsQuery(Struct):
    """A page of channels, and a filter."""

    after: Annotated[str, Meta(description="The `next` of the previous page.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Maximum number of items.")] = 100
    prefix: Annotated[str, Meta(description="Only channels that begin with it.")] = ""


class Channel(Struct):
    """What there is of one channel."""

    channel: str
    events: Annotated[int, Meta(description="Events in its history; 10 000 stands for all numbers from there on.")]
    first: Annotated[int, Meta(description="Unix time in ms of the oldest of them; 0 for none.")]
    last: Annotated[int, Meta(description="Unix time in ms of the newest of them; 0 for none.")]
    listeners: Annotated[int, Meta(description="Listeners of all workers; counted as `events`.")]


class Channels(Struct):
    """The channels that have events or listeners, in the order of their names."""

    channels: list[Channel]
    next: Annotated[str | None, Meta(description="`after` of the next page; null at the end.")]
