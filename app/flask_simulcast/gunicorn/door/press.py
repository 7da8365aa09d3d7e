"""Press: appends the events of hot requests. Those that came while it was appending are its next append: one commit for all."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ...hot import Publish
from .greenlets import Greenlets

if TYPE_CHECKING:
    from .desk import Asked, Desk

# Events of one append. A larger one holds the lock of the log, and the loop, for too long.
_MOST_EVENTS = 256


class Press:
    """One greenlet at a time, while there are events.

    Args:
        desk: Answers the requests.
        greenlets: Calls it.
    """

    def __init__(self, desk: Desk, greenlets: Greenlets) -> None:
        self._desk = desk
        self._greenlets = greenlets
        self._waiting: deque[tuple[Asked, Publish]] = deque()
        self._is_running = False

    def put(self, asked: Asked, publish: Publish) -> None:
        """Append the events of a request after those that wait, and answer it. Does not switch."""
        self._waiting.append((asked, publish))
        if not self._is_running:
            self._is_running = True
            self._greenlets.run_soon(self._run)

    def _run(self) -> None:
        try:
            while self._waiting:
                self._append(self._group())
        finally:
            self._is_running = False

    def _group(self) -> list[tuple[Asked, Publish]]:
        """Take the requests of the next append: at least one."""
        group = [self._waiting.popleft()]
        count = len(group[0][1].drafts)
        while self._waiting and count + len(self._waiting[0][1].drafts) <= _MOST_EVENTS:
            group.append(self._waiting.popleft())
            count += len(group[-1][1].drafts)
        return group

    def _append(self, group: list[tuple[Asked, Publish]]) -> None:
        """Append a group, all or none: what fails is the log, and so it fails for each. Switches."""
        try:
            events = group[0][1].hub.publish([draft for _, publish in group for draft in publish.drafts])
        except Exception as error:
            for asked, _ in group:
                self._desk.fail(asked, error)
            return
        begin = 0
        for asked, publish in group:
            end = begin + len(publish.drafts)
            self._desk.answer(asked, publish.reply(events[begin:end]))
            begin = end
