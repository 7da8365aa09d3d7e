"""Record what the apps of this process publish."""

from __future__ import annotations

import json
import threading
from typing import Any, NamedTuple

from .. import signals
from ..event import Event


class Published(NamedTuple):
    """One published event.

    Attributes:
        channel: Its channel.
        type: Its type; ``message`` if the publisher gave none.
        data: What JSON makes of its data; the text itself if it was published raw.
        is_raw: Whether it was published as Markup, or raw.
        id: Its position in the log, as text.
    """

    channel: str
    type: str
    data: Any
    is_raw: bool
    id: str


class Recorder:
    """Records what is published in this process, by any app and in any thread, while its block runs::

    with Recorder() as published:
        client.post("/orders")
    assert [event.data for event in published["orders"]] == [{"id": 1}]
    """

    def __init__(self) -> None:
        self.events: list[Published] = []
        self._more = threading.Condition()

    def __enter__(self) -> Recorder:
        signals.event_published.connect(self._take, weak=False)
        return self

    def __exit__(self, *_: object) -> None:
        signals.event_published.disconnect(self._take)

    def __getitem__(self, channel: str) -> list[Published]:
        """Return what was published to this channel so far."""
        return [event for event in self.events if event.channel == channel]

    def wait(self, channel: str, count: int = 1, *, type: str = "", seconds: float = 5.0) -> list[Published]:
        """Wait for events that a thread or a job publishes, and return all of them so far.

        Args:
            count: Number of events to wait for.
            type: Count events of this type alone.
            seconds: Longest wait.

        Raises:
            AssertionError: There were fewer.
        """

        def found() -> list[Published]:
            return [event for event in self[channel] if not type or event.type == type]

        with self._more:
            self._more.wait_for(lambda: len(found()) >= count, seconds)
        events = found()
        if len(events) < count:
            kind = f"of type {type} " if type else ""
            others = sorted({f"{event.type} on {event.channel}" for event in self.events})
            raise AssertionError(
                f"{len(events)} of {count} events {kind}were published on {channel} within {seconds} s. "
                f"Published were: {', '.join(others) or 'none at all'}."
            )
        return events

    def _take(self, sender: object, event: Event) -> None:
        data = event.text if event.is_raw else json.loads(event.data)
        with self._more:
            self.events.append(Published(event.channel, event.type, data, event.is_raw, str(event.position)))
            self._more.notify_all()
