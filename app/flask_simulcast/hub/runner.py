"""Runner: the runs of one worker: stores what their producers publish, and ends each of them once.

One greenlet for all runs of the worker. What is published while it stores something leaves with its next append, so that many
small pieces cost one transaction. The same greenlet renews the lease on the runs, and so finds out which of them were ended
elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

import gevent
from gevent.event import Event as Flag

from .. import signals
from ..brokers.base import Broker
from ..errors import BrokerError, DrainingError, RunEndedError, TooManyRunsError
from ..event import RUN_PREFIX, Draft
from ..metrics import Metrics
from ..run_state import CANCELLED, COMPLETE, FAILED, RunAppend, RunState, is_run_id
from ..settings import Settings
from .announcer import Announcer
from .live_run import LiveRun
from .maintenance import Maintenance

# A run whose worker is killed fails within this time and one round of maintenance: 15 s are promised.
_LEASE_SECONDS = 10.0
# A producer learns within this time that its run was cancelled in another worker: 1 s is promised.
_HOLD_SECONDS = 0.5
# Of all runs, in one append, which holds the write lock. A run has up to 256 events and 64 KiB in it.
_EVENTS = 512
# Between two appends, so that small pieces leave together.
_PAUSE_SECONDS = 0.005
_RETRY_SECONDS = 0.5
# The longest wait of a stopping worker for its last appends.
_LAST_SECONDS = 2.0

# No other worker ends a run as failed, unless it takes this one for lost.
_LOST = "worker_lost"
_STOPS = "This worker is about to stop. Try again, and another one answers."

_log = logging.getLogger("flask_simulcast")


class Runner:
    """The runs that this worker produces.

    Args:
        broker: Stores them.
        worker: Id of the worker, which has the leases.
        settings: The limits.
        metrics: Counters.
        announcer: Sends the signals.
        maintenance: Ends the runs of lost workers. It must go on also in a worker that has no listener.
        on_begin: Called before each run: the worker must read the log, in which others end its runs. May switch.
        on_idle: Called when there is no run any longer. Must not switch.
    """

    def __init__(
        self,
        broker: Broker,
        worker: str,
        settings: Settings,
        metrics: Metrics,
        announcer: Announcer,
        maintenance: Maintenance,
        *,
        on_begin: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._worker = worker
        self._settings = settings
        self._metrics = metrics
        self._announcer = announcer
        self._maintenance = maintenance
        self._on_begin = on_begin
        self._on_idle = on_idle
        self._runs: dict[str, LiveRun] = {}
        self._of_user: Counter[str] = Counter()
        self._beginning = 0
        self._is_stopping = False
        self._held_at = float("-inf")
        self._has_failed = False
        self._wake = Flag()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is a run, or one is about to begin: orders for it come through the log."""
        return bool(self._runs or self._beginning)

    def begin(self, id: str, user: str, meta: str, seconds: float) -> tuple[RunState, LiveRun | None]:
        """Begin a run, or join the one that has this id. May switch.

        Returns:
            Its state; and the run, if this call began it.

        Raises:
            DrainingError, TooManyRunsError: There is no room for another run.
            BrokerError: The log can't be reached.
        """
        known = self.find(id)
        if known is not None:
            return known, None
        self._check_capacity(user)
        self._beginning += 1
        self._of_user[user] += 1
        run = None
        try:
            self._on_begin()
            state, is_new = self._broker.begin_run(id, user, meta, self._worker, _LEASE_SECONDS)
            if (
                is_new and self._is_stopping
            ):  # since a moment ago: no lease is renewed now, so what was just stored is lost
                raise DrainingError(_STOPS)
            if is_new:
                run = self._runs[id] = LiveRun(state, seconds)
        finally:
            self._beginning -= 1
            if run is None:
                self._leave(user)
        if run is None:
            return state, None
        self._metrics.count("runs_started_total")
        self._metrics.set("runs", len(self._runs))
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._keep)
        self._announcer.send(signals.run_started, run=state)
        return state, run

    def find(self, id: str) -> RunState | None:
        """Return a run of any worker. May switch."""
        self._maintenance.run_if_due()
        return self._broker.run(id) if is_run_id(id) else None

    def page(self, after: str, limit: int, user: str) -> list[RunState]:
        """Return a page of runs of all workers. May switch."""
        self._maintenance.run_if_due()
        return self._broker.runs(after, limit, user=user)

    def put(self, run: LiveRun, draft: Draft) -> None:
        """Store an event of a run soon. Waits while too much waits for the log. Switches.

        Raises:
            RunEndedError: The run has ended.
        """
        run.wait_for_room()
        if run.ended.is_set():
            raise RunEndedError(run.ending)
        run.add(draft)
        self._wake.set()

    def complete(self, run: LiveRun, draft: Draft) -> None:
        """End a run, unless it has ended. Returns once the log has an ending. Switches."""
        if not run.ended.is_set():
            run.end(draft, COMPLETE)
            self._wake.set()
        run.settled.wait()

    def fail(self, run: LiveRun, code: str, message: str) -> None:
        """As `complete`, for a run that has failed. Switches."""
        if not run.ended.is_set():
            run.fail(code, message)
            self._wake.set()
        run.settled.wait()

    def cancel(self, id: str) -> bool:
        """End a run of any worker as ``cancelled``; return whether this call ended it. May switch.

        Raises:
            BrokerError: The log can't be reached.
        """
        if not is_run_id(id):
            return False
        draft = Draft(RUN_PREFIX + id, CANCELLED, "{}")
        (is_ours,) = self._broker.append_to_runs([RunAppend(id, [draft], ending=CANCELLED)])
        run = self._runs.get(id)
        if is_ours and run is not None:
            self._settle(run, CANCELLED)
        return is_ours

    def look_at(self, id: str) -> None:
        """Find out at once if a run of this worker was ended in another one. Does not switch."""
        if id in self._runs:
            self._held_at = float("-inf")
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Take no new runs, let those that are there go on for some seconds, and end the others. Switches."""
        self._is_stopping = True
        deadline = time.monotonic() + seconds
        for run in list(self._runs.values()):
            if not run.settled.wait(max(deadline - time.monotonic(), 0)) and not run.ended.is_set():
                message = "The server stopped before this was done. Start it again."
                run.fail("worker_stopped", message)
        self._wake.set()
        gevent.wait([run.settled for run in self._runs.values()], timeout=_LAST_SECONDS)
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        # The log is away: the sweep ends these. Their producers must not wait for it.
        for run in list(self._runs.values()):
            self._settle(run, FAILED)

    # Inside

    def _check_capacity(self, user: str) -> None:
        most, of_user = self._settings.max_runs, self._settings.max_runs_per_user
        error: DrainingError | TooManyRunsError | None = None
        if self._is_stopping:
            error = DrainingError(_STOPS)
        elif len(self._runs) + self._beginning >= most:
            error = TooManyRunsError(f"This server already works on {most} runs. Try again later.")
        elif user and 0 < of_user <= self._of_user[user]:
            error = TooManyRunsError(f"You already have {of_user} runs here. Wait until one has ended, or cancel it.")
        if error is not None:
            self._metrics.count("runs_refused_total", label=error.code)
            raise error

    def _leave(self, user: str) -> None:
        self._of_user[user] -= 1
        if not self._of_user[user]:
            del self._of_user[user]
        if not self.is_busy:
            self._on_idle()

    def _keep(self) -> None:
        """Store, hold and end, while there are runs."""
        try:
            while self._runs:
                self._wake.wait(max(self._held_at + _HOLD_SECONDS - time.monotonic(), 0))
                self._wake.clear()
                try:
                    self._end_late()
                    self._hold_if_due()  # first: on a full disk it is all that succeeds
                    self._store()
                    self._has_failed = False
                    gevent.sleep(_PAUSE_SECONDS)
                except BrokerError as error:
                    if not self._has_failed:  # log once per outage
                        _log.warning("Events of runs could not be stored. The next attempt follows. %s", error)
                    self._has_failed = True
                    self._wake.set()
                    gevent.sleep(_RETRY_SECONDS)
                except Exception:  # no run of this worker would go on
                    _log.exception("The runs of this worker could not be looked after. The next attempt follows.")
                    self._wake.set()
                    gevent.sleep(_RETRY_SECONDS)
        finally:
            self._greenlet = None

    def _end_late(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            if now >= run.deadline and not run.ended.is_set():
                message = "This took longer than it may. Try again with less."
                run.fail("time_limit", message)

    def _store(self) -> None:
        """Append what waits, of several runs in one transaction. A second try after an unclear answer stores nothing twice."""
        appends = self._next_appends()
        if not appends:
            return
        for (run, append), is_stored in zip(
            appends, self._broker.append_to_runs([append for _, append in appends]), strict=True
        ):
            if run.settled.is_set():
                continue  # it was cancelled here meanwhile
            if not is_stored:
                self._settle_as_known(run)
                continue
            run.was_stored(append)
            self._runs[run.id] = self._runs.pop(run.id)  # the next append begins with the others
            if append.ending:
                self._settle(run, append.ending)
        if any(run.has_waiting for run in self._runs.values()):
            self._wake.set()

    def _next_appends(self) -> list[tuple[LiveRun, RunAppend]]:
        found = []
        events = 0
        for run in self._runs.values():
            if run.has_waiting and events < _EVENTS:
                append = run.next_append()
                found.append((run, append))
                events += len(append.drafts)
        return found

    def _hold_if_due(self) -> None:
        """Renew the leases, and find the runs that were ended elsewhere."""
        if time.monotonic() - self._held_at < _HOLD_SECONDS:
            return
        mine = list(self._runs.values())
        held = self._broker.hold_runs(self._worker, [run.id for run in mine], _LEASE_SECONDS)
        self._held_at = time.monotonic()
        for run in mine:
            if run.id not in held and not run.settled.is_set():
                self._settle_as_known(run)

    def _settle_as_known(self, run: LiveRun) -> None:
        """Settle a run that was ended elsewhere, or that the log has lost."""
        state = self._broker.run(run.id)
        self._settle(run, FAILED if state is None or not state.ending else state.ending)

    def _settle(self, run: LiveRun, ending: str) -> None:
        """Note that a run has ended. Switches if a receiver of the signal does."""
        if run.settled.is_set():
            return
        run.settle(ending)
        del self._runs[run.id]
        self._leave(run.state.user)
        self._metrics.count("runs_ended_total", label=ending)
        if ending == FAILED:
            self._metrics.count("runs_failed_total", label=run.code or _LOST)
        self._metrics.set("runs", len(self._runs))
        self._announcer.send(signals.run_ended, run=run.state._replace(ending=ending))
