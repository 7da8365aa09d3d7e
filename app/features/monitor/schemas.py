"""Requests of the dashboard, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_MAX_HISTORY = 1000


class StreamQuery(Struct):
    """The samples to begin with."""

    history: Annotated[
        int,
        Meta(
            ge=0,
            le=_MAX_HISTORY,
            description="Number of the last samples to send first, so that a chart is not empty at the beginning.",
        ),
    ] = 0
