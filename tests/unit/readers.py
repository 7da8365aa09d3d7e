"""Listeners of a hub with the greenlets that read for them, as a transport has."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.event import Event as Flag

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import Draft
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.testing import SSEEvent, read_sse
from app.flask_simulcast.transports.stream import Stream


def publish(hub: Hub, *data: object, channel: str = "c") -> list[str]:
    return [str(event.position) for event in hub.publish([Draft(channel, "message", str(each)) for each in data])]


class Reader:
    """A listener and the greenlet that reads for it, as a transport does."""

    def __init__(self, hub: Hub, *channels: str, **options: Any) -> None:
        self.hub = hub
        self.listener = Listener(ListenRequest(channels or ("c",), SSE, **options))
        self.bytes = hub.add_listener(self.listener)
        self.may_read = Flag()
        self.may_read.set()
        self.greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while chunk := self.hub.next_chunk(self.listener):
            self.bytes += chunk
            self.may_read.wait()  # a slow socket
        self.hub.remove_listener(self.listener)

    @property
    def events(self) -> list[SSEEvent]:
        return read_sse(self.bytes)

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.events if event.type == "message"]

    def stop(self) -> None:
        self.may_read.set()
        self.listener.close(CloseReason.CLIENT_GONE)
        self.greenlet.join(timeout=5)


def settle() -> None:
    for _ in range(20):
        let_others_in()


def stream_of(hub: Hub, prelude: bytes = b"") -> tuple[Stream, list[Listener]]:
    """A stream, and the listeners that the hub is asked to take on."""
    made: list[Listener] = []
    add_listener = hub.add_listener

    def add(listener: Listener) -> bytes:
        made.append(listener)
        return add_listener(listener)

    hub.add_listener = add  # type: ignore[method-assign]
    return Stream(hub, ListenRequest(("c",), SSE, prelude=prelude), {}), made
