"""The contract of a broker: the log that workers share.

Small on purpose. `testing.BrokerContract` states every promise as a test and runs against all brokers.

The log is one sequence of events over all channels, each with a position that is larger than every
earlier one. It begins with a **birth** entry. Two things of it are kept: each channel's **history**,
bounded by count and age, and the **tail**, the positions and tags of all events, for at least as long as
the longest history. What trimming took from a channel is remembered as its **mark**, the highest
position ever trimmed; the mark of a channel that is forgotten altogether goes into one common mark,
which counts for every channel that has none of its own. Channels of users have a common mark apart: who was never sent
anything must not be told that something is missing because some other channel was forgotten. For the same reason the
mark of `all` is never forgotten.

Beside the log a broker keeps what the workers of one app must agree on: leases, the register of places (see `presence`),
small texts for a while, and what was revoked. Where such a fact has an event, both are stored in one transaction.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..event import ALL, LISTENER_PREFIX, USER_PREFIX, Draft, Event, Position
from ..presence import Member, Place

#: Nothing younger is ever trimmed: a pump that reads at least this often is never passed by.
SETTLE_SECONDS = 10
#: How long a known idempotency key answers with its old position.
IDEMPOTENCY_SECONDS = 300
#: No lease may last longer. One that seems to was written before this machine was started.
MAX_LEASE_SECONDS = 60


class Clock:
    """The two clocks that a broker reads. Tests hand in one that stands still."""

    def time_ms(self) -> int:
        """Unix time in ms. May jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds; the same for all processes of this machine; never jumps."""
        return time.monotonic()


class Batch(NamedTuple):
    """What the log has after a position.

    Attributes:
        events: In order.
        passed: Trimming has been here before the reader: some event after the position is gone.
    """

    events: list[Event]
    passed: bool


class Page(NamedTuple):
    """A stretch of some channels' history.

    Attributes:
        events: In order.
        covered_to: All that these channels still have up to here is in ``events``, or before.
        marks: For each channel that was trimmed after the position that was asked for, up to where.
    """

    events: list[Event]
    covered_to: Position
    marks: dict[str, Position]


class Verdict(NamedTuple):
    """Whether a listener that has everything up to a position can be given exactly what it missed.

    Attributes:
        reason: None if so; else ``trimmed``, ``lost`` or ``forked``.
        channels: Those that miss something.
        resume_at: Where the stream goes on.
        to: After this position nothing is missing.
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
    """The verdict, from facts that were read in one snapshot.

    Args:
        position: What the listener has.
        channels: What it listens to.
        birth: The first entry of the log.
        head: Its last.
        is_known: False if the tail reaches back to ``position`` but has no entry with its key and tag.
        marks: Of those channels that were trimmed after ``position``.
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
    """The name of the common mark that counts for a channel without a mark of its own. None for ``all``: it keeps its own
    for ever, and where it has none nothing of it was ever trimmed."""
    if channel == ALL:
        return None
    return "forgotten_personal" if channel.startswith((USER_PREFIX, LISTENER_PREFIX)) else "forgotten"


def is_other(known: str, fingerprint: str) -> bool:
    """Whether a key that is known with one fingerprint comes with that of another event. An empty one is equal to any: older
    versions stored none."""
    return known != fingerprint and known != "" and fingerprint != ""


def new_tag() -> str:
    """32 random bits, as 8 hex digits."""
    return secrets.token_hex(4)


class PastHead:
    """The head of the log as it was so long ago, told by the monotonic clock and by what this process saw: a wall
    clock that jumps an hour ahead makes nothing old.

    Args:
        seconds: How long ago.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()
        self._then = 0

    def look(self, now: float, head_key: int) -> int:
        """Note today's head; answer that of then, 0 if this process had not looked yet."""
        if not self._seen or self._seen[-1][1] != head_key:
            self._seen.append((now, head_key))
        while self._seen and now - self._seen[0][0] >= self._seconds:
            self._then = self._seen.popleft()[1]
        return self._then


class Broker(ABC):
    """A log. Methods that may switch greenlets say so."""

    #: Whether `read`, `page`, `verdict` and `head` answer without switching, so that the publisher's own
    #: greenlet can read on after its append.
    reads_at_once = True
    #: Changes when the log was opened anew: a reader must ask whether it is still the same one.
    generation = 0
    #: How large the write-ahead log of an SQLite log was on the disk when `maintain` looked last. 0 for other brokers.
    write_ahead_bytes = 0

    @abstractmethod
    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        """Store all drafts or none, in this order, and wake the readers. May switch.

        A draft whose idempotency key is known from the last 300 s, or from earlier in the batch, is not stored again:
        its old position is the answer. If both have a fingerprint and the two differ, the batch is refused.

        Raises:
            IdempotencyConflictError: A key is known with another fingerprint. Certainly nothing of the batch is stored.
            BrokerUnavailableError: Certainly not stored.
            PublishUncertainError: Perhaps stored.
        """

    @abstractmethod
    def read(self, after: Position) -> Batch:
        """The events of all channels after a position, in order; a bounded number of them, none at the head."""

    @abstractmethod
    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        """A page of history of these channels, ``after < event <= up_to``: at least one event where there is one,
        and no further one beyond ``max_bytes`` of data."""

    @abstractmethod
    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        """Whether a listener at this position can be given exactly what it missed."""

    @abstractmethod
    def head(self) -> Position:
        """The last position given out; the birth of an empty log."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Return when the log may have grown, or after ``seconds`` at most. A hint, never data: `read` tells. Where reads switch,
        it is called after each of them, and must return at once while there is more. Switches."""

    @abstractmethod
    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease that one holder at a time has. May switch.

        Args:
            seconds: At most 60, by the monotonic clock of this machine.

        Returns:
            Whether ``holder`` has it now.
        """

    @abstractmethod
    def release_lease(self, name: str, holder: str) -> None:
        """Give a lease back before its time. Nothing happens if somebody else has it. May switch."""

    # The register

    @abstractmethod
    def check_in(
        self,
        worker: str,
        come: Sequence[Place],
        gone: Sequence[str],
        *,
        renews: bool,
        lease_seconds: float,
        grace_seconds: float,
    ) -> bool:
        """Take or renew a worker's lease, add places under it, and shorten those of listeners that are gone. May switch.

        One transaction, with a ``join`` event for each (channel, member) that had no place before. A place that is there
        already is replaced without one; of a listener that is gone and has no place nothing happens.

        Args:
            worker: Its id.
            come: Places to add.
            gone: Ids of its listeners whose places end after the grace; those of another worker are left alone.
            renews: The worker believes that its lease holds. Without this it begins one, with these places alone.
            lease_seconds: All of the worker's places end when it has not checked in for so long; at most 60.
            grace_seconds: A place whose listener is gone still counts for so long; at most 60.

        Returns:
            False if it renews a lease that has ended: nothing was stored, and it must begin anew with all of its listeners.
        """

    @abstractmethod
    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        """A worker ends: all of its places end after the grace. May switch."""

    @abstractmethod
    def place(self, listener: str) -> Place | None:
        """One place, while its listener is connected: not in its grace."""

    @abstractmethod
    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        """Places in the order of listeners' ids, after an id; of one channel or user, if named. None that is in its grace."""

    @abstractmethod
    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        """Who is present on a channel, in the order of names, after a name: all whose ``join`` was told, and no ``leave`` yet.

        ``maintain`` sweeps: it removes places that have ended, with a ``leave`` event in the same transaction for each
        (channel, member) of which that was the last.
        """

    # Small texts

    @abstractmethod
    def put_text(self, name: str, value: str, seconds: float) -> None:
        """Keep a text under a name, for so long by the monotonic clock. A later one replaces it. May switch."""

    @abstractmethod
    def get_text(self, name: str) -> str | None:
        """What is kept under a name; None when its time is over."""

    @abstractmethod
    def pop_text(self, name: str) -> str | None:
        """What is kept under a name, for one caller only: whoever comes second gets None. May switch."""

    # Revocation

    @abstractmethod
    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        """Remember that what was issued to ``name`` before a time no longer counts, and append the event that tells the
        workers; one transaction. A later time replaces an earlier one, never the other way round. May switch.

        Args:
            name: ``user:…``, ``token:…`` or ``listener:…``.
            before_ms: Unix time in ms.
            seconds: For how long it must be remembered, by the wall clock: until what it ends would have ended by itself.
            draft: For the control channel.
        """

    @abstractmethod
    def revoked_before(self, names: Sequence[str]) -> int:
        """The latest time (Unix ms) that was revoked for any of these names; 0 for none."""

    # History

    @abstractmethod
    def newest(self, channels: Sequence[str], count: int) -> Position:
        """Where a replay of the newest events begins: a position that is whole to resume from, after which these channels
        have ``count`` events, or all that they still have. Fewer where trimming took events of one channel from among
        those of the others: a replay has no holes. The head where there is nothing to replay."""

    @abstractmethod
    def maintain(self) -> None:
        """Trim, sweep, checkpoint, forget: what has to be done now and then, a bounded amount of it. May switch."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and sockets. May switch."""
