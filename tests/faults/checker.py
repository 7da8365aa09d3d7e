"""The one checker that judges a run. Pure: what was published and what each listener got goes in, the faults come out.

Knows nothing of servers, brokers and this service's code. `test_checker.py` hands it forged histories.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import NamedTuple

#: A number names one event of a run; above these bits stands who published it.
SOURCE_BITS = 32
_FIRST = -1  # before every position


class Outcome(Enum):
    """The last answer that a publisher got."""

    STORED = "acknowledged"
    UNCERTAIN = "perhaps stored"
    REFUSED = "certainly not stored"


class Attempt(NamedTuple):
    """One event that a publisher tried to publish."""

    channel: str
    number: int
    outcome: Outcome = Outcome.STORED
    position: str = ""  # as it was acknowledged
    at: float = 0.0  # when it was asked for


class Gap(NamedTuple):
    """A gap that a listener was told."""

    index: int  # how many events it had got before
    reason: str
    channels: tuple[str, ...]
    start: str
    to: str
    at: float = 0.0


@dataclass
class Chain:
    """What one client got over all its connections, resuming each time.

    Attributes:
        channels: That it listens to.
        start: The position of its first ``connected``.
        numbers: Of its events, in the order in which they came.
        positions: Theirs.
        gaps: Each gap that it was told.
        has_stayed: It was there until all that had been acknowledged should have come; else what counts ends with
            its last event.
        connects: How often it came.
    """

    channels: tuple[str, ...] = ("flow",)
    start: str = ""
    numbers: list[int] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    has_stayed: bool = False
    connects: int = 0


@dataclass
class History:
    """One run.

    Attributes:
        attempts: One for each event; a second one only where it was acknowledged twice.
        chains: One for each listener.
        replaced: When the log was exchanged for another one (wiped, restored, taken over by a replica): from when on one
            may be told so, and until when something may still have gone into the old one.
    """

    attempts: list[Attempt] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    replaced: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Verdict:
    """Faults, each counted once for every listener that saw it.

    Attributes:
        lost: Acknowledged, due, not received, and no gap said so.
        silences: Unbroken stretches of such.
        doubled: Received again.
        disordered: Received after one with a higher position; or a publisher's own order was not kept.
        disagreed: Received, or acknowledged again, at another position than elsewhere.
        phantom: Received, although no publisher had tried to publish it.
        resurrected: Received, although its publisher was told that it is certainly not stored.
        stray: Of a channel to which the listener does not listen.
        alarms: Gaps with nothing missing.
        told: No fault by itself: acknowledged, not received, and a gap said so.
    """

    lost: int = 0
    silences: int = 0
    doubled: int = 0
    disordered: int = 0
    disagreed: int = 0
    phantom: int = 0
    resurrected: int = 0
    stray: int = 0
    alarms: int = 0
    told: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, row.name) + getattr(other, row.name) for row in fields(self)))

    @property
    def faults(self) -> dict[str, int]:
        """The faults found, by name."""
        return {
            row.name: getattr(self, row.name) for row in fields(self) if row.name != "told" and getattr(self, row.name)
        }


def order(position: str) -> int:
    """Where a position stands among all others: its milliseconds and counter. `_FIRST` for what is none."""
    milliseconds, _, rest = position.partition("-")
    counter, _, tag = rest.partition("-")
    if not (milliseconds.isdecimal() and counter.isdecimal() and tag):
        return _FIRST
    return int(milliseconds) << 32 | int(counter)


def judge(history: History) -> Verdict:
    """Find all faults of a run."""
    record = _Record(history)
    verdict = Verdict(disordered=record.disordered, disagreed=record.disagreed)
    return sum((_judge_chain(chain, record) for chain in history.chains), verdict)


class _Record:
    """The known facts of each event, for look-ups."""

    def __init__(self, history: History) -> None:
        self.attempts: dict[int, Attempt] = {}
        self.positions: dict[int, str] = {}  # of all that is stored
        self.disordered = self.disagreed = 0
        self._orders: dict[str, int] = {}
        self._replaced = sorted(history.replaced)
        self._due: dict[frozenset[str], list[tuple[int, int]]] = {}
        highest: dict[int, int] = {}
        for attempt in history.attempts:
            known = self.positions.get(attempt.number)
            if known is not None:
                self.disagreed += attempt.outcome is Outcome.STORED and known != attempt.position
                continue
            self.attempts[attempt.number] = attempt
            if attempt.outcome is Outcome.STORED:
                self.positions[attempt.number] = attempt.position
                place, source = self.order(attempt.position), attempt.number >> SOURCE_BITS
                self.disordered += place <= highest.get(source, _FIRST)
                highest[source] = place
        for chain in history.chains:  # what one got is stored, and due to all
            for number, position in zip(chain.numbers, chain.positions, strict=True):
                if number not in self.positions and number in self.attempts:
                    self.positions[number] = position

    def order(self, position: str) -> int:
        """`order`, each position parsed once."""
        place = self._orders.get(position)
        if place is None:
            place = self._orders[position] = order(position)
        return place

    def due(self, channels: Iterable[str]) -> list[tuple[int, int]]:
        """Place and number of all that is stored on some channels, in order."""
        named = frozenset(channels)
        if named not in self._due:
            attempts = self.attempts
            self._due[named] = sorted(
                (self.order(position), number)
                for number, position in self.positions.items()
                if attempts[number].channel in named
            )
        return self._due[named]

    def replaced_before(self, at: float) -> float | None:
        """When the log was last exchanged before a time: until when something may have gone into the old one."""
        count = bisect_right(self._replaced, (at, float("inf")))
        return self._replaced[count - 1][1] if count else None


def _judge_chain(chain: Chain, record: _Record) -> Verdict:
    verdict = Verdict()
    seen = _judge_received(chain, record, verdict)
    due = record.due(chain.channels)
    first = bisect_right(due, (record.order(chain.start), 1 << 64))
    last = len(due)
    if not chain.has_stayed:
        highest = max(map(record.order, chain.positions), default=_FIRST)
        last = bisect_right(due, (highest, 1 << 64))
    missing = [(index, record.attempts[due[index][1]]) for index in range(first, last) if due[index][1] not in seen]
    _judge_missing(missing, chain, record, verdict)
    return verdict


def _judge_received(chain: Chain, record: _Record, verdict: Verdict) -> set[int]:
    """Judge the received events, in the order in which they came. Returns their numbers."""
    seen: set[int] = set()
    attempts, positions, order_of = record.attempts, record.positions, record.order
    # After a gap on another log the order begins anew.
    restarts = {
        gap.index for gap in chain.gaps if gap.reason != "trimmed" and record.replaced_before(gap.at) is not None
    }
    channels = frozenset(chain.channels)
    highest = _FIRST
    for index, (number, position) in enumerate(zip(chain.numbers, chain.positions, strict=True)):
        if index in restarts:
            highest = _FIRST
        attempt = attempts.get(number)
        if attempt is None:
            verdict.phantom += 1
            continue
        if number in seen:
            verdict.doubled += 1
            continue
        seen.add(number)
        verdict.disagreed += positions[number] != position
        verdict.resurrected += attempt.outcome is Outcome.REFUSED
        verdict.stray += attempt.channel not in channels
        place = order_of(position)
        if place <= highest:
            verdict.disordered += 1
        else:
            highest = place
    return seen


def _judge_missing(missing: list[tuple[int, Attempt]], chain: Chain, record: _Record, verdict: Verdict) -> None:
    """Check that each due event that did not come is covered by a gap, and that each gap has a reason."""
    gaps = [_Told(gap, chain, record) for gap in chain.gaps]
    last_lost = None
    for index, attempt in missing:
        place = record.order(record.positions[attempt.number])
        covering = [gap for gap in gaps if gap.covers(attempt, place)]
        for gap in covering:
            gap.is_needed = True
        if covering:
            verdict.told += 1
            continue
        verdict.lost += 1
        verdict.silences += last_lost is None or index != last_lost + 1
        last_lost = index
    noticed: dict[float, int] = {}  # when the log was exchanged: what a listener had when it was told first
    for gap in gaps:
        if gap.replaced is not None:
            # A listener from a log that is gone must be told once, whether events are missing or not.
            gap.is_needed |= noticed.setdefault(gap.replaced, gap.index) == gap.index
    verdict.alarms += sum(not gap.is_needed for gap in gaps)


class _Told:
    """A gap, and what it excuses."""

    def __init__(self, gap: Gap, chain: Chain, record: _Record) -> None:
        self.index = gap.index
        self.is_needed = False
        self.replaced = None if gap.reason == "trimmed" else record.replaced_before(gap.at)
        self._channels = frozenset(gap.channels)
        had = chain.positions[gap.index - 1] if gap.index else chain.start
        self._after = max(record.order(had), record.order(gap.start))
        self._to = record.order(gap.to)

    def covers(self, attempt: Attempt, place: int) -> bool:
        """Tell whether the gap covers this event."""
        if attempt.channel not in self._channels:
            return False
        if self.replaced is None:
            return self._after < place <= self._to
        went_with_the_old_log = attempt.at <= self.replaced and place > self._after
        return went_with_the_old_log or place <= self._to
