"""ListenRequest: what a client asks to listen to, in which encoding, from where, and as whom."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from .encoding import Encoding
from .event import Position, View
from .grant import Grant

_NOBODY = Grant()


@dataclass(frozen=True, slots=True)
class ListenRequest:
    """What a listener is made of. Checked already.

    Attributes:
        channels: Sorted, each once.
        encoding: Of the frames.
        resume: The position that the client says it has, as text; None for a new listener.
        start: Where the listener starts if it can't resume; None leaves that to the hub.
        prelude: Frames that follow ``connected``: a snapshot, for example.
        view: Drops or narrows events.
        grant: Who listens, and until when.
        member: The name under which the listener is present; empty for none.
        present_on: The channels on which it is present.
        meta: JSON text that other listeners are told about it.
        address: Of the client, if addresses are limited; else empty.
        queue_bytes: Bound of the listener's queue. An empty queue takes any chunk: otherwise one event larger than the bound
            would never pass.
        heartbeat_as_comment: For clients that know no ``heartbeat`` event.
    """

    channels: tuple[str, ...]
    encoding: Encoding
    _: KW_ONLY
    resume: str | None = None
    start: Position | None = None
    prelude: bytes = b""
    view: View | None = None
    grant: Grant = _NOBODY
    member: str = ""
    present_on: tuple[str, ...] = ()
    meta: str = "{}"
    address: str = ""
    queue_bytes: int = 64 << 10
    heartbeat_as_comment: bool = False
