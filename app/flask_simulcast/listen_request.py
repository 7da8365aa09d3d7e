"""ListenRequest: what a client asks to listen to: the channels, the encoding, the start, and the grant."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from .encoding import Encoding
from .event import Position, View
from .grant import Grant

_NOBODY = Grant()


@dataclass(frozen=True, slots=True)
class ListenRequest:
    """The checked facts that a listener is made from.

    Attributes:
        channels: Names of the channels, sorted, each once.
        encoding: Encoding of the frames.
        resume: Text of the position that the client says it has; None for a new listener.
        start: Position at which the listener starts if it can't resume; None leaves that to the hub.
        prelude: Frames that follow ``connected``: a snapshot, for example.
        view: Drops or narrows events.
        grant: Grant of the listener: its user, and the end of its streams.
        member: Name under which the listener is present; empty if it is not.
        present_on: Channels on which it is present.
        meta: JSON text that others see of it.
        deadline: Monotonic seconds at which the client stops waiting; None for no end.
        address: Address of the client, if addresses are limited; else empty.
        queue_bytes: Bound of the listener's queue. Two chunks are taken whatever their size: otherwise one event larger than
            the bound would never pass, and two large ones in a row would send the listener back to history.
        heartbeat_as_comment: Whether to send heartbeats as comments, for clients that know no ``heartbeat`` event.
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
    deadline: float | None = None
    address: str = ""
    queue_bytes: int = 64 << 10
    heartbeat_as_comment: bool = False
