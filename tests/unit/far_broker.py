"""Brokers whose log can be replaced, and that stand at the other end of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from app.flask_simulcast.brokers.base import Batch, Broker, ChannelSummary, Page, Verdict
from app.flask_simulcast.brokers.check_in import CheckIn
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Draft, Position
from app.flask_simulcast.presence import Member, Place
from app.flask_simulcast.run_state import RunAppend, RunState
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock

T = TypeVar("T")


class SwappedBroker(Broker):
    """A log in memory that can be replaced by an older copy of itself, as a restored file is."""

    def __init__(self, settings: Settings, clock: FakeClock) -> None:
        self._settings = settings
        self._clock = clock
        self.log = MemoryBroker(settings, clock)

    def copy(self) -> MemoryBroker:
        """A backup."""
        copy = MemoryBroker(self._settings, self._clock)
        copy._register, copy._agreements = (
            self.log._register,
            self.log._agreements,
        )  # no reader asks an old one for them
        for name, value in vars(self.log._log).items():
            if name == "_histories":
                setattr(copy._log, name, {channel: history.copy() for channel, history in value.items()})
            else:
                setattr(copy._log, name, value.copy() if isinstance(value, list | dict) else value)
        return copy

    def restore(self, copy: MemoryBroker) -> None:
        """From now on that is the log."""
        self.log = copy
        self.generation += 1

    def append(self, drafts: Sequence[Draft]) -> list[Position]:
        return self.log.append(drafts)

    def read(self, after: Position) -> Batch:
        return self.log.read(after)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        return self.log.page(channels, after, up_to, max_bytes)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        return self.log.verdict(position, channels)

    def head(self) -> Position:
        return self.log.head()

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")

    def hold_lease(self, name: str, holder: str, seconds: float) -> bool:
        return True

    def release_lease(self, name: str, holder: str) -> None:
        pass

    def check_in(self, report: CheckIn) -> bool:
        return self.log.check_in(report)

    def check_out(self, worker: str, *, grace_seconds: float) -> None:
        self.log.check_out(worker, grace_seconds=grace_seconds)

    def place(self, listener: str) -> Place | None:
        return self.log.place(listener)

    def places(self, after: str, limit: int, *, channel: str = "", user: str = "") -> list[Place]:
        return self.log.places(after, limit, channel=channel, user=user)

    def members(self, channel: str, after: str, limit: int) -> list[Member]:
        return self.log.members(channel, after, limit)

    def begin_run(self, run: str, user: str, meta: str, worker: str, seconds: float) -> tuple[RunState, bool]:
        return self.log.begin_run(run, user, meta, worker, seconds)

    def append_to_runs(self, appends: Sequence[RunAppend]) -> list[bool]:
        return self.log.append_to_runs(appends)

    def hold_runs(self, worker: str, runs: Collection[str], seconds: float) -> set[str]:
        return self.log.hold_runs(worker, runs, seconds)

    def run(self, id: str) -> RunState | None:
        return self.log.run(id)

    def runs(self, after: str, limit: int, *, user: str = "") -> list[RunState]:
        return self.log.runs(after, limit, user=user)

    def channels(self, after: str, limit: int, *, prefix: str = "") -> list[ChannelSummary]:
        return self.log.channels(after, limit, prefix=prefix)

    def put_text(self, name: str, value: str, seconds: float) -> None:
        self.log.put_text(name, value, seconds)

    def get_text(self, name: str) -> str | None:
        return self.log.get_text(name)

    def pop_text(self, name: str) -> str | None:
        return self.log.pop_text(name)

    def revoke(self, name: str, before_ms: int, seconds: float, draft: Draft) -> Position:
        return self.log.revoke(name, before_ms, seconds, draft)

    def revoked_before(self, names: Sequence[str]) -> int:
        return self.log.revoked_before(names)

    def newest(self, channels: Sequence[str], count: int) -> Position:
        return self.log.newest(channels, count)

    def maintain(self) -> None:
        self.log.maintain()

    def close(self) -> None:
        self.log.close()


class FarBroker(SwappedBroker):
    """The same at the other end of a network: each read switches before it and after it, and fails while the log is away.

    Attributes:
        switch: Lets others in.
        fails: Number of coming reads that fail, some of them after the log was asked.
        asked: How often, by what.
    """

    reads_at_once = False

    def __init__(self, settings: Settings, clock: FakeClock, switch: Callable[[], None]) -> None:
        super().__init__(settings, clock)
        self.switch = switch
        self.fails = 0
        self.asked: Counter[str] = Counter()

    def wait(self, seconds: float) -> None:
        self.log.wait(seconds)

    def _ask(self, read: Callable[..., T], *arguments: Any) -> T:
        self.asked[read.__name__] += 1
        self.switch()
        self._may_fail()
        answer = read(*arguments)
        self.switch()
        self._may_fail()
        return answer

    def _may_fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailableError("away")

    def read(self, after: Position) -> Batch:
        return self._ask(super().read, after)

    def page(self, channels: Sequence[str], after: Position, up_to: Position, max_bytes: int) -> Page:
        return self._ask(super().page, channels, after, up_to, max_bytes)

    def verdict(self, position: Position, channels: Sequence[str]) -> Verdict:
        return self._ask(super().verdict, position, channels)

    def head(self) -> Position:
        return self._ask(super().head)

    def revoked_before(self, names: Sequence[str]) -> int:
        return self._ask(super().revoked_before, names)

    def newest(self, channels: Sequence[str], count: int) -> Position:
        return self._ask(super().newest, channels, count)
