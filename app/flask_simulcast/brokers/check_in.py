"""CheckIn: what a worker reports to the register, and how a register that is called step by step takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..event import Draft
from ..presence import Place
from .lease import lease_end


class CheckIn(NamedTuple):
    """One report of a worker.

    Attributes:
        worker: Id of the worker.
        come: Places to add.
        gone: Ids of the worker's listeners whose places end after the grace. Places of other workers don't change.
        renews: True if the worker believes that it has a lease. If False, it begins a lease with these places alone.
        lease_seconds: Seconds without a check-in after which all of the worker's places end; at most 60.
        grace_seconds: Seconds for which the place of a gone listener still counts; at most 60.
    """

    worker: str
    come: Sequence[Place]
    gone: Sequence[str]
    renews: bool
    lease_seconds: float
    grace_seconds: float


class Register(Protocol):
    """The steps of a check-in. The caller puts them into one transaction."""

    def has_lease(self, worker: str, now: float) -> bool:
        """Whether the worker has checked in in time."""

    def end(self, worker: str, until: float) -> None:
        """End the lease; its places end at this time."""

    def renew(self, worker: str, until: float) -> None:
        """Take or renew the lease."""

    def add(self, worker: str, come: Sequence[Place], now_ms: int) -> list[Draft]:
        """Add or replace places, and return the events of the members that have joined."""

    def shorten(self, worker: str, gone: Sequence[str], until: float) -> None:
        """End the places of these listeners at this time, unless they end already."""


def take_in(register: Register, report: CheckIn, now: float, now_ms: int) -> list[Draft] | None:
    """Take one report.

    Args:
        register: Of the log.
        report: Of a worker.
        now: Monotonic seconds.
        now_ms: Unix time in ms.

    Returns:
        ``join`` events to append in the same transaction. None if the worker renews a lease that has ended: nothing was changed.
    """
    worker = report.worker
    if report.renews and not register.has_lease(worker, now):
        return None
    if not report.renews:
        register.end(worker, now)
    register.renew(worker, lease_end(now, report.lease_seconds))
    joined = register.add(worker, report.come, now_ms)
    register.shorten(worker, report.gone, lease_end(now, report.grace_seconds))
    return joined
