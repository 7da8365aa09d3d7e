"""How events get to Redis: one group at a time, over one connection.

Whoever comes while a group is under way waits, and all that wait go together as the next one: a round trip is paid by the
group. Nothing is delayed on purpose; who finds nobody before it sends at once.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event as Flag

from ...errors import BrokerError, BrokerUnavailableError, PublishUncertainError
from ...event import Draft, Position
from ...loop import is_patched
from .link import AnswerLostError, has_timed_out
from .rows import key_of, position_of

# What one script may hold up all others with: a few milliseconds.
_GROUP_EVENTS = 512
_GROUP_BYTES = 1 << 20
_NO_ANSWER = "Redis does not answer. The event is certainly not stored; try again later."

Send = Callable[[Sequence[Any]], list[Any]]


class _Turn:
    """One caller's events in the line.

    Attributes:
        outcome: Positions, or what to raise; None while it waits.
    """

    __slots__ = ("drafts", "outcome", "woken")

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = drafts
        self.outcome: list[Position] | BaseException | None = None
        self.woken = Flag()


class Committer:
    """Appends drafts.

    Args:
        send: Runs the append script with these arguments. Switches.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._line: deque[_Turn] = deque()
        self._is_busy = False
        self._mutex = threading.Lock()  # between the threads of a process without a loop
        self._timed_out_at = 0.0

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        """Store all or none. Switches.

        Raises:
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        if not is_patched():
            return self._append_in_thread(drafts)
        turn = _Turn(drafts)
        self._line.append(turn)
        if self._is_busy:
            self._wait(turn)
        if turn.outcome is None:
            self._lead()
        assert turn.outcome is not None
        if isinstance(turn.outcome, BaseException):
            raise turn.outcome
        return turn.outcome

    def _append_in_thread(self, drafts: Sequence[Draft]) -> list[Position]:
        came_at = time.monotonic()
        with self._mutex:
            if self._timed_out_at > came_at:  # it has waited as long already
                raise BrokerUnavailableError(_NO_ANSWER)
            try:
                return self._commit(drafts)
            except BrokerError as error:
                if has_timed_out(error):
                    self._timed_out_at = time.monotonic()
                raise

    def _wait(self, turn: _Turn) -> None:
        """Until its events are stored, or it is the next one to send."""
        try:
            turn.woken.wait()
        except BaseException:
            if turn in self._line:
                self._line.remove(turn)  # killed: nobody waits for these any more, and nobody sends them
            if turn.woken.is_set() and turn.outcome is None:
                self._hand_over()
            raise

    def _lead(self) -> None:
        """Send what waits, and have the next one send the rest."""
        self._is_busy = True
        group = self._take_group()
        outcome: BaseException | None = None
        try:
            positions = self._commit([draft for turn in group for draft in turn.drafts])
            start = 0
            for turn in group:
                turn.outcome = positions[start : start + len(turn.drafts)]
                start += len(turn.drafts)
        except BrokerError as error:
            outcome = error
            if has_timed_out(error):
                self._refuse_line()  # they have waited as long already
        except BaseException:
            outcome = PublishUncertainError(
                "Who sent the event was stopped. It may be stored; try again with an idempotency key."
            )
            raise
        finally:
            for turn in group:
                turn.outcome = turn.outcome or outcome
                turn.woken.set()
            self._hand_over()

    def _take_group(self) -> list[_Turn]:
        """From the head of the line: one, and more while they are not too much."""
        events = size = 0
        group: list[_Turn] = []
        while self._line and events < _GROUP_EVENTS and size < _GROUP_BYTES:
            turn = self._line.popleft()
            group.append(turn)
            events += len(turn.drafts)
            size += sum([len(draft.data) for draft in turn.drafts])
        return group

    def _hand_over(self) -> None:
        if self._line:
            self._line[0].woken.set()
        else:
            self._is_busy = False

    def _refuse_line(self) -> None:
        for turn in self._line:
            turn.outcome = BrokerUnavailableError(_NO_ANSWER)
            turn.woken.set()
        self._line.clear()

    def _commit(self, drafts: Sequence[Draft]) -> list[Position]:
        tag = secrets.randbits(32)
        arguments = [f"{tag:08x}"]
        for channel, type, data, key in drafts:
            arguments += (channel, type, data, key or "")
        try:
            first, *known = self._send(arguments)
        except AnswerLostError as error:
            raise PublishUncertainError(
                f"Redis did not answer: {error}. The event may be stored; try again with an idempotency key."
            ) from error
        return _positions(len(drafts), tag, first, dict(zip(known[::2], known[1::2], strict=True)))


def _positions(count: int, tag: int, first: str, known: dict[int, str]) -> list[Position]:
    """Of each draft.

    Args:
        first: Id of the first new one.
        known: By its place, what was stored before: a position, or as ``+n`` the n-th of the new ones.
    """
    key = key_of(first) if first else 0
    if not known:
        return [Position(key + number, tag) for number in range(count)]
    positions = []
    new = 0
    for place in range(count):
        text = known.get(place)
        if text is None:
            positions.append(Position(key + new, tag))
            new += 1
        elif text.startswith("+"):
            positions.append(Position(key + int(text), tag))
        else:
            positions.append(position_of(text))
    return positions
