"""The log in Redis, for workers on many machines. Needs the extra ``flask-simulcast[redis]``.

An acknowledged event survives the kill of any worker, and of Redis itself if Redis writes an append-only file. If the machine
of Redis fails, the last second of events might be lost. If a replica takes over, it might lack the last events. In both cases
listeners are told.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from ...errors import BrokerUnavailableError, PublishUncertainError
from ...event import Draft, Event, Position
from ...loop import Threads
from ...presence import Member, Place
from ...run_state import RunAppend, RunState
from ...settings import Settings
from .. import base
from ..base import MOST_COUNTED, PAGE_EVENTS, Batch, Broker, ChannelSummary, Clock, Page, Positions, Verdict
from ..check_in import CheckIn
from ..lease import MAX_LEASE_SECONDS
from . import scripts
from .committer import Committer
from .link import MOST_THREADS, AnswerLostError, Link, Links, NoLogError
from .maintenance import Maintenance
from .rows import after as marks_after
from .rows import key_of, marks_of, parts_of, position_of
from .scripts import Script
from .tail import Tail
from .url import make_pool

# A new log might be deleted before it is used, so a script tries this often.
_OPENINGS = 5
# Redis checks ten times a second whether a blocked client has timed out, so a blocking read gets this extra time.
_TICK_SECONDS = 0.2
# Channels that one script sums up, which takes about a millisecond.
_SUMMARIES_AT_ONCE = 200
_RUNS_AT_ONCE = 500
# Wait for a connection, and for an answer, unless the settings give another. With a frozen Redis a publish must fail within 3 s
# (promise P10); measured with this value: 2.0 s.
_SECONDS = 2.0


class RedisBroker(Broker):
    """A log in Redis. Every method may switch. Connections are made on first use.

    Args:
        url: The URL of the server; see `url.make_pool`.
        settings: The history bounds, timeouts, and the prefix of keys.
        clock: A clock to use instead of the server's. Tests pass one that stands still.
    """

    reads_at_once = False

    def __init__(self, url: str, settings: Settings, clock: Clock | None = None) -> None:
        seconds = settings.broker_seconds or _SECONDS
        pool, patient = make_pool(url, seconds), make_pool(url, seconds + _TICK_SECONDS)
        self._clock = clock
        self._prefix = f"{{{settings.redis_prefix}}}:"
        self._server = ""
        self._threads = threads = Threads(MOST_THREADS)
        self._links = Links(pool, self._meet, self._threads, seconds)
        # Two separate connections, so that neither publishers nor the pump wait behind reads of history.
        self._append_link, self._read_link = (Link(pool, self._meet, threads) for _ in range(2))
        self._committer = Committer(lambda arguments: self._on(self._append_link, scripts.APPEND, *arguments))
        self._tail = Tail(Link(patient, self._meet, threads), self._prefix + "tail", self._read_on, seconds)
        self._maintenance = Maintenance(self._ask, settings, clock or Clock())

    def append(self, drafts: Sequence[Draft]) -> Positions:
        return Positions(self._committer.append(drafts) if drafts else ())

    # Reading

    def read(self, after: Position) -> Batch:
        return self._tail.read(after)

    def wait(self, seconds: float) -> None:
        self._tail.wait(seconds)

    def _read_on(self, after: Position) -> Any:
        return self._ask_on(self._read_link, scripts.READ, *_parts(after), f"{after.tag:08x}")

    def head(self) -> Position:
        return position_of(self._ask(scripts.HEAD))

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        commons, marks, is_cut, rows = self._ask(
            scripts.PAGE, *_parts(after), *_parts(up_to), max_bytes, PAGE_EVENTS, *channels
        )
        events = [
            Event(Position(key_of(id), int(name[:8], 16)), channels[channel], name[8:], data)
            for channel, id, name, data in zip(rows[::4], rows[1::4], rows[2::4], rows[3::4], strict=True)
        ]
        covered_to = events[-1].position if is_cut else up_to
        return Page(events, covered_to, marks_after(marks_of(channels, marks, commons), after.key))

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        head, birth, *commons, tag, marks = self._ask(scripts.VERDICT, *_parts(position), *channels)
        return base.judge(
            position,
            channels,
            birth=position_of(birth),
            head=position_of(head),
            is_known=tag is None or (tag != "" and int(tag, 16) == position.tag),
            marks=marks_after(marks_of(channels, marks, commons), position.key),
        )

    def newest(self, channels: Sequence[str], count: int) -> Position:
        before, start = "", "+"
        while start:  # other commands can run between two scripts
            found, here, start, head, *commons, marks = self._ask(scripts.NEWEST, count, start, *channels)
            before = here or before
            count -= found
        if not before:
            return position_of(head)
        return max([position_of(before), *marks_of(channels, marks, commons).values()])

    def channels(self, after: str, limit: int, *, prefix: str = "") -> list[ChannelSummary]:
        found: list[ChannelSummary] = []
        while len(found) < limit:  # other commands can run between two scripts
            most = min(limit - len(found), _SUMMARIES_AT_ONCE)
            start = f"[{prefix}" if prefix > after else f"({after}" if after else "-"
            after, *rows = self._ask(scripts.SUMMARIES, start, most, prefix)
            columns = zip(*(rows[n::5] for n in range(5)), strict=True)
            found += [
                ChannelSummary(name, min(events, MOST_COUNTED), first_ms, last_ms, min(places, MOST_COUNTED))
                for name, events, first_ms, last_ms, places in columns
            ]
            if not after:
                break
        return found

    # Leases

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        return bool(self._change(scripts.HOLD, name, holder, _ms(seconds)))

    def release_lease(self, name: str, holder: str) -> None:
        self._change(scripts.RELEASE, name, holder)

    # The register

    def check_in(self, report: CheckIn) -> bool:
        worker, come, gone, renews, lease_seconds, grace_seconds = report
        places = {place.listener: _record(worker, place) for place in come}
        pairs = [text for pair in places.items() for text in pair]
        times = (_ms(lease_seconds), _ms(grace_seconds))
        return bool(
            self._change(scripts.CHECK_IN, base.new_tag(), worker, int(renews), *times, len(places), *pairs, *gone)
        )

    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        self._change(scripts.CHECK_OUT, worker, _ms(grace_seconds))

    def place(self, listener: str) -> Place | None:
        text = self._ask(scripts.PLACE, listener)
        return None if text is None else _place(listener, text)

    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        places: list[Place] = []
        while len(places) < limit:  # other commands can run between two scripts
            after, *found = self._ask(scripts.LIST, after, limit - len(places), channel, user)
            places += [_place(listener, text) for listener, text in zip(found[::2], found[1::2], strict=True)]
            if not after:
                break
        return places

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        found = self._ask(scripts.MEMBERS, channel, after, limit)
        rows = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [Member(name, meta, int(since_ms), count) for name, meta, since_ms, count in rows]

    # Runs

    def begin_run(self, run: str, user: str, meta: str, worker: str, seconds: float) -> tuple[RunState, bool]:
        is_new, facts = self._change(scripts.BEGIN_RUN, run, user, meta, worker, _ms(seconds))
        return _run(run, facts), bool(is_new)

    def append_to_runs(self, appends: Sequence[RunAppend]) -> list[bool]:
        arguments: list[Any] = []
        for run, drafts, after, ending in appends:
            arguments += (run, "" if after is None else after, ending, len(drafts))
            arguments += [text for draft in drafts for text in draft[:3]]
        return [bool(stored) for stored in self._change(scripts.APPEND_TO_RUNS, base.new_tag(), *arguments)]

    def hold_runs(self, worker: str, runs: Collection[str], seconds: float) -> set[str]:
        return set(self._change(scripts.HOLD_RUNS, worker, _ms(seconds), *runs))

    def run(self, id: str) -> RunState | None:
        facts = self._ask(scripts.RUN, id)
        return None if facts[0] is None else _run(id, facts)

    def runs(self, after: str, limit: int, *, user: str = "") -> list[RunState]:
        records: list[RunState] = []
        while len(records) < limit:  # other commands can run between two scripts
            most = min(limit - len(records), _RUNS_AT_ONCE)
            found = self._ask(scripts.LIST_RUNS, after, most, user)
            records += [_run(id, facts) for id, facts in zip(found[::2], found[1::2], strict=True)]
            if len(found) < 2 * most:
                break
            after = found[-2]
        return records

    # Small texts

    def put_text(self, name: str, value: str, seconds: float) -> None:
        self._change(scripts.KEEP, name, value, round(seconds * 1000))

    def get_text(self, name: str) -> str | None:
        text: str | None = self._ask(scripts.RECALL, name, 0)
        return text

    def pop_text(self, name: str) -> str | None:
        text: str | None = self._change(scripts.RECALL, name, 1)
        return text

    # Revocation

    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        tag = base.new_tag()
        event = (draft.channel, draft.type, draft.data)
        id = self._change(scripts.REVOKE, tag, name, before_ms, round(seconds * 1000), *event)
        return Position(key_of(id), int(tag, 16))

    def revoked_before(self, names: Sequence[str]) -> int:
        return int(self._ask(scripts.REVOKED, *names)) if names else 0

    # Maintenance

    def maintain(self) -> None:
        self._maintenance.work()

    def close(self) -> None:
        self._tail.close()
        self._append_link.close()
        self._read_link.close()
        self._links.close()
        self._threads.close()

    # Asking Redis

    def _meet(self, server: str) -> None:
        """Note the server's id. A server that restarted or took over might have another log, so the pump must check before
        pages are used."""
        if self._server not in ("", server):
            self.generation += 1
        self._server = server

    def _ask(self, script: Script, *arguments: Any) -> Any:
        """Run a script that is safe to run again. Raises BrokerUnavailableError."""
        with self._links.one() as link:
            return self._ask_on(link, script, *arguments)

    def _ask_on(self, link: Link, script: Script, *arguments: Any) -> Any:
        try:
            return self._on(link, script, *arguments)
        except AnswerLostError as error:
            raise BrokerUnavailableError(f"Redis did not answer: {error}. Look at Redis if it goes on.") from error

    def _change(self, script: Script, *arguments: Any) -> Any:
        """Run a script that changes something. Raises BrokerError."""
        with self._links.one() as link:
            try:
                return self._on(link, script, *arguments)
            except AnswerLostError as error:
                raise PublishUncertainError(
                    f"Redis did not answer: {error}. The change might be stored; try again."
                ) from error

    def _on(self, link: Link, script: Script, *arguments: Any) -> Any:
        """Run a script. If there is no log, begin one."""
        times = self._times()
        for _ in range(_OPENINGS):
            try:
                return link.run(script, self._prefix, *times, *arguments)
            except NoLogError:
                link.run(scripts.OPEN, self._prefix, *times, base.new_tag())
        raise BrokerUnavailableError(
            "The log in Redis is deleted again and again. Nothing was done; find the client that sends FLUSHALL, and try again."
        )

    def _times(self) -> tuple[Any, Any]:
        if self._clock is None:
            return ("", "")
        return (self._clock.time_ms(), round(self._clock.monotonic() * 1000))


def _parts(position: Position) -> tuple[int, int]:
    return parts_of(position.key)


def _ms(seconds: float) -> int:
    """Convert the seconds of a lease or a grace to ms, within the longest lease."""
    return round(min(seconds, MAX_LEASE_SECONDS) * 1000)


def _record(worker: str, place: Place) -> str:
    """Encode a place as the scripts keep it."""
    return json.dumps([worker, *place[1:9], json.dumps(place.member)], ensure_ascii=False, separators=(",", ":"))


def _place(listener: str, text: str) -> Place:
    worker, user, member, channels, present_on, *rest, _ = json.loads(text)
    return Place._make((listener, user, member, tuple(channels), tuple(present_on), *rest, worker))


def _run(id: str, facts: list[str]) -> RunState:
    user, meta, worker, started_ms, begin, events, ending, end = facts
    last = position_of(end) if end else None
    return RunState(id, user, meta, worker, int(started_ms), position_of(begin), int(events), ending, last)
