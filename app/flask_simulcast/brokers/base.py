"""The contract of a broker: the log that workers share.

It is small on purpose. `testing.BrokerContract` states every promise as a test and runs against all brokers.

The log is one sequence of events over all channels, each with a position that is larger than every
earlier one. It begins with a **birth** entry. A broker keeps two things of it: each channel's **history**,
bounded by count and age, and the **tail**, the positions and tags of all events, for at least as long as
the longest history. A channel's **mark** is the highest position that was ever trimmed from it. When a
channel is forgotten, its mark goes into a common mark, which counts for every channel without a mark of
its own. The channels of users and listeners have a separate common mark: a user who was never sent an event must not be
told that events are missing because some other channel was forgotten. For the same reason the mark of `all` is never
forgotten.

Beside the log a broker keeps the facts that the workers of one app share: leases, the register of places (see `presence`),
runs (see `run_state`), short-lived texts, and revocations. Where such a fact has an event, the broker stores both in one transaction.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from ..event import ALL, LISTENER_PREFIX, USER_PREFIX, Draft, Event, Position
from ..presence import Member, Place
from ..run_state import RunAppend, RunState
from .check_in import CheckIn

#: Younger events are never trimmed, so trimming never passes a pump that reads at least this often.
SETTLE_SECONDS = 10
#: Largest number of events in a page of history: it is read in one turn of the loop.
PAGE_EVENTS = 500
#: Largest number of events, and of listeners, that are counted for one channel.
MOST_COUNTED = 10_000
#: Seconds for which a repeated idempotency key gets the position of its first event.
IDEMPOTENCY_SECONDS = 300


class Clock:
    """The two clocks that a broker reads. Tests pass one that stands still."""

    def time_ms(self) -> int:
        """Return the Unix time in ms. It may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds on a clock that all processes of this machine share and that never jumps."""
        return time.monotonic()


class Positions(list[Position]):
    """The positions of drafts that were appended.

    Attributes:
        after: The last position given out before them, if they are all new and nothing lies between them. None if that is not
            so, or not known.
    """

    __slots__ = ("after",)

    def __init__(self, positions: Iterable[Position] = (), after: Position | None = None) -> None:
        super().__init__(positions)
        self.after = after


class Batch(NamedTuple):
    """The events after a position.

    Attributes:
        events: The events, in order.
        passed: True if trimming has passed the reader: some event after the position is gone.
        has_more: False if the batch reaches the head. A broker that can't tell leaves it True: the pump reads again.
    """

    events: list[Event]
    passed: bool
    has_more: bool = True


class Page(NamedTuple):
    """A stretch of some channels' history.

    Attributes:
        events: The events, in order.
        covered_to: The end of the stretch. ``events`` holds everything that these channels still have up to here.
        marks: The mark of each channel that was trimmed after the requested position.
    """

    events: list[Event]
    covered_to: Position
    marks: dict[str, Position]


class ChannelSummary(NamedTuple):
    """What there is of one channel.

    Attributes:
        channel: Its name.
        events: Number of events in its history; 10 000 stands for that many or more.
        first_ms: Unix time in ms of the oldest of them; 0 if there is none.
        last_ms: Unix time in ms of the newest of them; 0 if there is none.
        listeners: Number of places on it, over all workers, including those within their grace; counted as ``events``.
    """

    channel: str
    events: int
    first_ms: int
    last_ms: int
    listeners: int


class Verdict(NamedTuple):
    """The answer to a listener that has everything up to a position: can it get exactly what it missed?

    Attributes:
        reason: None if it can; else ``trimmed``, ``lost`` or ``forked``.
        channels: The channels from which events are missing.
        resume_at: The position where the stream goes on.
        to: The end of the gap. After this position nothing is missing.
    """

    reason: str | None
    channels: tuple[str, ...]
    resume_at: Position
    to: Position


def judge(
    position: Position,
    channels: Sequence[str],
    *,
    birth: Position,
    head: Position,
    is_known: bool,
    marks: dict[str, Position],
) -> Verdict:
    """Judge a position from facts that were read in one snapshot.

    Args:
        position: The position up to which the listener has everything.
        channels: The channels that it listens to.
        birth: The first entry of the log.
        head: The last entry of the log.
        is_known: False if the tail reaches back to ``position`` but has no entry with its key and tag.
        marks: The marks of the channels that were trimmed after ``position``.
    """
    everything = tuple(channels)
    if position.key < birth.key:
        return Verdict("lost", everything, birth, birth)
    if position.key > head.key:
        return Verdict("lost", everything, head, head)
    if not is_known:
        return Verdict("forked", everything, position, position)
    if marks:
        return Verdict("trimmed", tuple(sorted(marks)), position, max(marks.values()))
    return Verdict(None, (), position, position)


def common_mark_of(channel: str) -> str | None:
    """Return the name of the common mark that counts for a channel without a mark of its own. None for ``all``: its mark is
    kept for ever, so without a mark it was never trimmed."""
    if channel == ALL:
        return None
    return "forgotten_personal" if channel.startswith((USER_PREFIX, LISTENER_PREFIX)) else "forgotten"


def is_other(known: str, fingerprint: str) -> bool:
    """Tell whether a key known with one fingerprint now comes with the fingerprint of another event. An empty fingerprint
    equals any other, because older versions stored none."""
    return known != fingerprint and known != "" and fingerprint != ""


def new_tag() -> str:
    """Make a tag: 32 random bits, as 8 hex digits."""
    return secrets.token_hex(4)


class PastHead:
    """The head of the log a fixed time ago, by the monotonic clock and by what this process saw. So a wall clock that jumps
    an hour ahead does not make events old.

    Args:
        seconds: Age of the head to return.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()
        self._then = 0

    def look(self, now: float, head_key: int) -> int:
        """Note the present head and return the past one; 0 if this process had not looked by then."""
        if not self._seen or self._seen[-1][1] != head_key:
            self._seen.append((now, head_key))
        while self._seen and now - self._seen[0][0] >= self._seconds:
            self._then = self._seen.popleft()[1]
        return self._then


class Broker(ABC):
    """A log. A method that may switch greenlets says so."""

    #: True if `read`, `page`, `verdict` and `head` return without switching, so that the publisher's own
    #: greenlet can read on after its append.
    reads_at_once = True
    #: A number that changes when the log is opened again. A reader must then check that it is still the same log.
    generation = 0
    #: Size of an SQLite log's write-ahead log on the disk when `maintain` last looked. 0 for other brokers.
    write_ahead_bytes = 0
    #: Size of an SQLite log itself, likewise.
    log_bytes = 0

    @abstractmethod
    def append(self, drafts: Sequence[Draft]) -> Positions:
        """Store all drafts or none, in this order, and wake the readers. May switch.

        A draft whose idempotency key is known from the last 300 s, or from earlier in the batch, is not stored again:
        it gets its old position. If both have a fingerprint and the two differ, the batch is refused.

        Raises:
            IdempotencyConflictError: A key is known with another fingerprint. Certainly no event of the batch is stored.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """

    @abstractmethod
    def read(self, after: Position) -> Batch:
        """Return the events of all channels after a position, in order: a bounded number, and none at the head. Each call of
        `wait` that follows returns at once if the log has grown since."""

    @abstractmethod
    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        """Return a page of history of these channels, ``after < event <= up_to``. It has at least one event if one
        exists, and then stops before ``max_bytes`` of data, or `PAGE_EVENTS`, are exceeded."""

    @abstractmethod
    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        """Judge whether a listener at this position can get exactly what it missed."""

    @abstractmethod
    def head(self) -> Position:
        """Return the last position given out, or the birth of an empty log."""

    @abstractmethod
    def wait(self, seconds: float) -> Collection[str] | None:
        """Return when the log may have grown, or after ``seconds`` at most. This is a hint: only `read` returns data. Where
        reads switch, the pump calls it after each of them, and it must return at once while there is more. Switches.

        Returns:
            The channels that have grown since the last call; None if any may have.
        """

    def may_have_grown(self) -> bool:
        """Tell whether there may be events whose `append` in another process had returned before this call, and that the last
        `read` did not find. True unless it is certain that no ring of one has come: a reader that starts a little too early
        loses nothing. Costs less than a `read`; does not switch."""
        return True

    @abstractmethod
    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease that has one holder at a time. May switch.

        Args:
            seconds: Length of the lease, at most 60 s by the monotonic clock of this machine.

        Returns:
            Whether ``holder`` has the lease now.
        """

    @abstractmethod
    def release_lease(self, name: str, holder: str) -> None:
        """Give a lease back before it ends. Does nothing if another holder has it. May switch."""

    # The register

    @abstractmethod
    def check_in(self, report: CheckIn) -> bool:
        """Take or renew a worker's lease, add places under it, and shorten those of listeners that are gone. May switch.

        This is one transaction, with a ``join`` event for each (channel, member) that had no place before. An existing
        place is replaced without an event. A gone listener that has no place is ignored.

        Args:
            report: What it reports.

        Returns:
            False if the worker renews a lease that has ended: nothing was stored, and the worker must begin a lease with
            all of its listeners.
        """

    @abstractmethod
    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        """End a worker's lease: all of its places end after the grace. May switch."""

    @abstractmethod
    def place(self, listener: str) -> Place | None:
        """Return the place of a connected listener. None if it is gone, even within its grace."""

    @abstractmethod
    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        """Return places after an id, in the order of listeners' ids; of one channel or user, if named. Places within their
        grace are left out."""

    @abstractmethod
    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        """Return the members present on a channel, after a name, in the order of names: each has a ``join`` event and no
        ``leave`` event yet.

        ``maintain`` removes places that have ended. In the same transaction it appends a ``leave`` event for each
        (channel, member) that lost its last place.
        """

    # Runs

    @abstractmethod
    def begin_run(self, run: str, user: str, meta: str, worker: str, seconds: float) -> tuple[RunState, bool]:
        """Store the record of a new run; return it, and whether it is new. A run that is known is returned as it is. May switch.

        Args:
            run: Its id.
            user: Its user; empty for none.
            meta: JSON text of the app.
            worker: Id of the worker that produces.
            seconds: Length of the worker's lease on it, at most 60.
        """

    @abstractmethod
    def append_to_runs(self, appends: Sequence[RunAppend]) -> list[bool]:
        """Append events to runs, in one transaction: for each run all of its events, or none if the run has ended or is unknown.
        May switch.

        Returns:
            For each, whether the run has these events now; also if an earlier try has stored them.
        """

    @abstractmethod
    def hold_runs(self, worker: str, runs: Collection[str], seconds: float) -> set[str]:
        """Renew a worker's lease on these runs, and return the ids of those that are its own and have not ended. ``maintain``
        ends a run whose lease has ended, as `lost_draft` says. May switch."""

    @abstractmethod
    def run(self, id: str) -> RunState | None:
        """Return a run. None if it is unknown, or if it ended longer ago than the history of its channel reaches."""

    @abstractmethod
    def runs(self, after: str, limit: int, *, user: str = "") -> list[RunState]:
        """Return runs after an id, in the order of ids; of one user, if named."""

    # Small texts

    @abstractmethod
    def put_text(self, name: str, value: str, seconds: float) -> None:
        """Keep a text under a name, for ``seconds`` by the monotonic clock. A later text replaces it. May switch."""

    @abstractmethod
    def get_text(self, name: str) -> str | None:
        """Return the text kept under a name; None after its time."""

    @abstractmethod
    def pop_text(self, name: str) -> str | None:
        """Return the text kept under a name and forget it: a second caller gets None. May switch."""

    # Revocation

    @abstractmethod
    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        """Remember that grants issued to ``name`` before a time no longer count, and append the event that tells the
        workers, in one transaction. A later time replaces an earlier one, never the other way round. May switch.

        Args:
            name: ``user:…``, ``token:…`` or ``listener:…``.
            before_ms: The time, in Unix ms.
            seconds: Seconds to remember the revocation, by the wall clock: until every revoked grant has expired.
            draft: The event for the control channel.
        """

    @abstractmethod
    def revoked_before(self, names: Sequence[str]) -> int:
        """Return the latest time (Unix ms) that was revoked for any of these names; 0 if there is none."""

    # History

    @abstractmethod
    def newest(self, channels: Sequence[str], count: int) -> Position:
        """Return the position where a replay of the newest events begins. Nothing after it is missing, and these channels
        have ``count`` events after it, or all that they still have. There are fewer where trimming took events of one
        channel from among those of the others, because a replay has no holes. With nothing to replay, returns the head."""

    @abstractmethod
    def channels(self, after: str, limit: int, *, prefix: str = "") -> list[ChannelSummary]:
        """Return the channels that have a history or a place, after a name, in the order of names; those with this prefix.
        The channel between workers is left out. The cost is bounded by ``limit``, not by the histories."""

    @abstractmethod
    def maintain(self) -> None:
        """Do a bounded round of maintenance: trim, sweep, checkpoint, forget. May switch."""

    @abstractmethod
    def close(self) -> None:
        """Close files and sockets. May switch."""
