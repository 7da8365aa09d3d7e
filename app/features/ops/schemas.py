"""What the routes for operators answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Health(Struct, rename="camel"):
    """Figures of all workers of this machine together, since the server was started."""

    status: str
    active_connections: Annotated[int, Meta(description="Listeners that are connected.")]
    total_messages: Annotated[int, Meta(description="Events handed to listeners.")]
    error_count: Annotated[int, Meta(description="What went wrong in here.")]
    uptime: Annotated[float, Meta(description="Seconds.")]
    workers: int


class Ready(Struct):
    """How far the log is."""

    status: str
    position: str
