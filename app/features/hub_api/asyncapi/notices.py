"""Notices: the data of the stream's own events. The extension writes them; they are here for the document."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ....flask_simulcast import CloseReason
from ..schemas import Channel, GapData, ListenerId, TimeMs

#: Reasons with which a refused EventSource is closed, besides those of a stream that was open.
_REFUSALS = ("unauthorized", "forbidden")


class ConnectedData(Struct):
    """The stream has started; its events follow."""

    listener: ListenerId
    channels: list[Channel]


class HeartbeatData(Struct):
    """The connection lives, and nothing is missing up to the id."""

    time: TimeMs


class ClosedData(Struct):
    """The stream ends."""

    reason: Annotated[str, Meta(extra_json_schema={"enum": [*(each.value for each in CloseReason), *_REFUSALS]})]
    reconnect: Annotated[bool, Meta(description="Whether to reconnect. If not, the id is `end`.")]


#: For each type of event that the service itself sends on a stream, the type of its data.
NOTICES = {"connected": ConnectedData, "gap": GapData, "heartbeat": HeartbeatData, "closed": ClosedData}
