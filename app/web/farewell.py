"""The last message of a WebSocket: why it ends, and when to come back. A close frame has room for the first alone."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..flask_simulcast import CloseCode, text_frame

# Share of the usual wait, as for a stream: clients that leave together do not come back together.
_SPREAD = (0.5, 1.5)

_encode = msgspec.json.Encoder().encode


class Closing(Struct, tag_field="type", tag="closing"):
    """Last of all, right before the close frame."""

    code: Annotated[int, Meta(description="Of the close frame.")]
    reason: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]
    reconnect: Annotated[bool, Meta(description="Whether to come back.")]
    retry_ms: Annotated[int, Meta(description="How long to wait before, not the same for everyone.")] | UnsetType = (
        UNSET
    )


@functools.cache
def farewell_of(retry_ms: int) -> Callable[[CloseCode], bytes]:
    """For `Connection.farewell`: one function for all connections.

    Args:
        retry_ms: About how long to wait before coming back: half of it to one and a half.
    """

    def farewell(ending: CloseCode) -> bytes:
        wait = round(retry_ms * random.uniform(*_SPREAD)) if ending.reconnect else UNSET
        return text_frame(_encode(Closing(ending.code, ending.name, ending.reason, ending.reconnect, wait)))

    return farewell
