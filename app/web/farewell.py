"""The last message of a WebSocket: why it ends, and when to reconnect. A close frame has room only for the reason."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..flask_simulcast import CloseCode, text_frame

# Factors of the usual wait, as for a stream, so that clients that leave together do not return together.
_SPREAD = (0.5, 1.5)

_encode = msgspec.json.Encoder().encode


class Closing(Struct, tag_field="type", tag="closing"):
    """The last message, right before the close frame."""

    code: Annotated[int, Meta(description="Code of the close frame.")]
    reason: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people.")]
    reconnect: Annotated[bool, Meta(description="Whether to reconnect.")]
    retry_ms: Annotated[int, Meta(description="Ms to wait before that, with a random spread.")] | UnsetType = UNSET


@functools.cache
def farewell_of(retry_ms: int) -> Callable[[CloseCode], bytes]:
    """Return a function for `Connection.farewell`, the same for all connections.

    Args:
        retry_ms: Usual wait before a client reconnects. Each client gets half of it to one and a half.
    """

    def farewell(ending: CloseCode) -> bytes:
        wait = round(retry_ms * random.uniform(*_SPREAD)) if ending.reconnect else UNSET
        return text_frame(_encode(Closing(ending.code, ending.name, ending.reason, ending.reconnect, wait)))

    return farewell
