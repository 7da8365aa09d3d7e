"""Requests and answers of the dashboard, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

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


class Past(Struct):
    """This machine in the last minutes."""

    host: str
    samples: Annotated[list[Any], Meta(description="Each as the data of `metrics`, 5 seconds apart, the oldest first.")]
