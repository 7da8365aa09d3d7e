"""Send events to Redis, one group at a time, over one connection.

Callers that arrive while a group is under way wait, and are sent together as the next group, so a group shares one round trip.
Nothing is delayed on purpose: a caller that finds the line empty sends at once.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event as Flag

from ...errors import BrokerError, BrokerUnavailableError, IdempotencyConflictError, PublishUncertainError
from ...event import Draft, Position
from ...loop import has_loop
from .link import AnswerLostError, has_timed_out
from .rows import key_of, position_of

# Bounds of one script, so that it delays other clients by a few milliseconds at most.
_GROUP_EVENTS = 512
_GROUP_BYTES = 1 << 20
_NO_ANSWER = "Redis does not answer. The event is certainly not stored; try again later."

Send = Callable[[Sequence[Any]], list[Any]]
Outcome = list[Position] | IdempotencyConflictError
"""The result for one caller's events, once Redis has answered."""


class _Pending:
    """One caller's events in the line.

    Attributes:
        outcome: The positions, or the error to raise; None while the caller waits.
    """

    __slots__ = ("drafts", "outcome", "woken")

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = drafts
        self.outcome: list[Position] | BaseException | None = None
        self.woken = Flag()


class Committer:
    """Appends drafts to the log.

    Args:
        send: Runs the append script with the given arguments. Switches.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._line: deque[_Pending] = deque()
        self._is_busy = False
        self._mutex = threading.Lock()  # between threads without a loop
        self._timed_out_at = 0.0

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        """Store all drafts or none. Switches.

        Raises:
            IdempotencyConflictError: As `Broker.append`.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """
        if not has_loop():
            return self._append_in_thread(drafts)
        turn = _Pending(drafts)
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
            if self._timed_out_at > came_at:  # it has waited for a whole timeout already
                raise BrokerUnavailableError(_NO_ANSWER)
            try:
                (outcome,) = self._commit([drafts])
            except BrokerError as error:
                if has_timed_out(error):
                    self._timed_out_at = time.monotonic()
                raise
        if isinstance(outcome, IdempotencyConflictError):
            raise outcome
        return outcome

    def _wait(self, turn: _Pending) -> None:
        """Wait until the events are stored, or until this caller is the next to send."""
        try:
            turn.woken.wait()
        except BaseException:
            if turn in self._line:
                self._line.remove(turn)  # the caller was killed, so its events must not be sent
            if turn.woken.is_set() and turn.outcome is None:
                self._hand_over()
            raise

    def _lead(self) -> None:
        """Send a group from the line, then wake the next caller to send the rest."""
        self._is_busy = True
        group = self._take_group()
        outcome: BaseException | None = None
        try:
            outcomes = self._commit([turn.drafts for turn in group])
            for turn, its_outcome in zip(group, outcomes, strict=True):
                turn.outcome = its_outcome
        except BrokerError as error:
            outcome = error
            if has_timed_out(error):
                self._refuse_line()  # these callers have waited for a whole timeout already
        except BaseException:
            outcome = PublishUncertainError(
                "The greenlet that sent the event was killed. The event might be stored; try again with an idempotency key."
            )
            raise
        finally:
            for turn in group:
                turn.outcome = turn.outcome or outcome
                turn.woken.set()
            self._hand_over()

    def _take_group(self) -> list[_Pending]:
        """Take callers from the head of the line: one, and more until the group is full."""
        events = size = 0
        group: list[_Pending] = []
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

    def _commit(self, batches: Sequence[Sequence[Draft]]) -> list[Outcome]:
        tag = secrets.randbits(32)
        arguments = [f"{tag:08x}"]
        for drafts in batches:
            arguments.append(str(len(drafts)))
            for channel, type, data, key, fingerprint in drafts:
                arguments += (channel, type, data, "" if key is None else f"{fingerprint or '-'} {key}")
        try:
            first, *known = self._send(arguments)
        except AnswerLostError as error:
            raise PublishUncertainError(
                f"Redis did not answer: {error}. The event might be stored; try again with an idempotency key."
            ) from error
        sizes = [len(drafts) for drafts in batches]
        return _outcomes(sizes, tag, first, dict(zip(known[::2], known[1::2], strict=True)))


def _outcomes(sizes: Sequence[int], tag: int, first: str, known: dict[int, str]) -> list[Outcome]:
    """Return the outcome of each caller.

    Args:
        sizes: Number of events of each caller.
        first: Id of the first new event.
        known: Events that were stored before, by their index: a position, or ``+n`` for the n-th new event. ``!`` at the
            index of a caller's first event means that the caller was refused.
    """
    key = key_of(first) if first else 0
    outcomes: list[Outcome] = []
    place = new = 0
    for size in sizes:
        if known.get(place) == "!":
            outcomes.append(IdempotencyConflictError())
        else:
            positions = []
            for text in map(known.get, range(place, place + size)):
                if text is None:
                    positions.append(Position(key + new, tag))
                    new += 1
                else:
                    positions.append(Position(key + int(text), tag) if text.startswith("+") else position_of(text))
            outcomes.append(positions)
        place += size
    return outcomes
