"""Answers of the routes for operators, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

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
