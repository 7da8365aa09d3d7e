"""The agent at work: one thread reports, one listens for commands, the main one waits to be stopped."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ....flask_simulcast.client import Backoff, Client, ClientError, ReceivedEvent, RefusedError, Status, Stream
from .. import machine
from ..command_set import MIN_INTERVAL_SECONDS, CommandError, carry_out, check
from .inbox import Inbox, Order
from .reports import Puts, Reports

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_STOP_SECONDS = 3.0  # for the requests in progress
# The service recognises a repeated answer, by its key, for 300 s.
_ANSWER_SECONDS = 240.0
_FRESH_SECONDS = 0.5
_FAILED_SECONDS = 5.0
_API = "/api/v1"

_log = logging.getLogger("simulcast.agent")


class Agent:
    """Reports as one wukong until it is told to stop.

    Args:
        name: Name of the wukong.
        interval_seconds: Seconds between two reports.
        connect: Makes a client: of one route's stream, or of the service.
        reports: Makes what the reports go by.
    """

    def __init__(
        self,
        name: str,
        interval_seconds: float,
        connect: Callable[[str], Client],
        reports: Callable[[Puts], Reports] = lambda puts: puts,
    ) -> None:
        self._name = name
        self._interval_seconds = interval_seconds
        self._began = time.monotonic()
        self._inbox = Inbox(f"wukong-agent.{name}")
        self._path = f"{_API}/wukongs/{quote(name)}"
        self._reports, self._answers = reports(Puts(connect(""), self._path)), connect("")
        self._commands = connect(f"{self._path}/commands")
        self._stream: Stream = self._commands.listen(on_state=self._tell)
        self._stopping = threading.Event()
        self._interval_changed = threading.Event()
        self._accepted = threading.Event()  # the first report was accepted
        self._measured: tuple[float, dict[str, Any]] = (-math.inf, {})
        self._refusal: RefusedError | None = None
        self._waits = 0  # id of the thread that runs it

    def run(self) -> None:
        """Work until TERM or INT. A refusal of the first report ends the agent; later errors are retried.

        Raises:
            RefusedError: The service has refused the first report.
        """
        # Wait for signals instead of handling them: a handler could interrupt any instruction. Threads inherit the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._waits = threading.get_ident()
        threads = [
            threading.Thread(target=self._keep_at, args=(work,), daemon=True) for work in (self._report, self._listen)
        ]
        for thread in threads:
            thread.start()
        signal.sigwait(_SIGNALS)
        _log.info("Stops.")
        self._stopping.set()
        self._interval_changed.set()
        self._accepted.set()
        self._commands.close()
        self._reports.close()  # a report can be lost; an answer in progress is completed
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        if self._refusal is not None:
            raise self._refusal

    def _keep_at(self, work: Callable[[], None]) -> None:
        """Run one task, again after an unexpected error: if /proc can't be read once, the agent must not go on half alive."""
        while not self._stopping.is_set():
            try:
                work()
                return
            except Exception:
                _log.exception("It failed. Goes on in %g s.", _FAILED_SECONDS)
                self._stopping.wait(_FAILED_SECONDS)

    # Commands

    def status(self) -> dict[str, Any]:
        """Return the figures of the last report if they are fresh: a load over a few ms is meaningless. Else measure."""
        at, figures = self._measured
        return figures if time.monotonic() - at < _FRESH_SECONDS else self._measure()

    def uptime(self) -> dict[str, Any]:
        """Return the uptime of the machine and of this program."""
        return {
            "machine_seconds": machine.uptime_seconds(),
            "process_seconds": round(time.monotonic() - self._began),
        }

    def set_interval(self, seconds: float) -> None:
        """Set the seconds between two reports."""
        self._interval_seconds = max(seconds, MIN_INTERVAL_SECONDS)
        self._interval_changed.set()

    def processes(self, limit: int, by: str) -> list[dict[str, Any]]:
        """Return the processes of this machine, measured over a fifth of a second."""
        since = machine.process_times()
        time.sleep(machine.PROCESSES_SECONDS)
        return machine.top_processes(since, limit, by)

    # Reporting

    def _report(self) -> None:
        backoff = Backoff()
        due = time.monotonic()
        while not self._stopping.is_set():
            self._interval_changed.clear()
            interval = self._interval_seconds
            try:
                self._reports.send(self._measure(), interval)
            except ClientError as error:
                if isinstance(error, RefusedError) and not self._accepted.is_set():
                    self._give_up(error)
                    return
                self._wait("Not reported", error, backoff)
                due = time.monotonic()
                continue
            if not self._accepted.is_set():
                _log.info("Reports as %s.", self._name)
                self._accepted.set()
            backoff.reset()
            due = max(due + interval, time.monotonic())
            if self._interval_changed.wait(due - time.monotonic()):
                due = time.monotonic()

    def _give_up(self, refusal: RefusedError) -> None:
        self._refusal = refusal
        # To the thread that waits for it, perhaps soon: threads of grpcio, begun before, would end the process.
        signal.pthread_kill(self._waits, signal.SIGTERM)

    def _measure(self) -> dict[str, Any]:
        figures = machine.host_figures()
        self._measured = (time.monotonic(), figures)
        return figures

    # Listening

    def _listen(self) -> None:
        """Carry out commands. The stream comes back by itself; after a refusal it is asked for again."""
        self._accepted.wait()
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                for event in self._stream:
                    self._take(event)
                    backoff.reset()
                if not self._stopping.wait(backoff.wait()):
                    _log.warning("No commands: the service has ended the stream.")
            except RefusedError as error:
                self._wait("No commands", error, backoff)
            self._stream = self._commands.listen(position=self._stream.position, on_state=self._tell)

    def _tell(self, status: Status) -> None:
        match status.state:
            case "live":
                _log.info("Listens for commands.")
            case "stale":
                _log.warning("No commands: the service is silent.")
            case "reconnecting":
                _log.warning("No commands: %s. Tries again in %.1f s.", status.reason, status.wait_seconds)

    def _take(self, event: ReceivedEvent) -> None:
        if event.type == "gap":
            reason = event.data.get("reason") if isinstance(event.data, dict) else None
            _log.warning("Commands may be missing: history no longer has all since the last one (%s).", reason)
        order = self._inbox.read(event)
        if order is not None:
            self._answer(order, self._carry_out(order))

    def _carry_out(self, order: Order) -> dict[str, Any]:
        try:
            output = carry_out(check(order.command, order.args), self)
        except CommandError as error:
            return {"id": order.id, "ok": False, "error": str(error)}
        except Exception as error:  # one command must not end the agent
            _log.exception("Command %s failed.", order.id)
            return {
                "id": order.id,
                "ok": False,
                "error": f"It failed: {type(error).__name__}. The agent's log says more.",
            }
        _log.info("Command %s carried out: %s", order.id, order.command)
        return {"id": order.id, "ok": True, "output": output}

    def _answer(self, order: Order, answer: dict[str, Any]) -> None:
        """Send an answer until the service has it. The id is its idempotency key, so it is stored once even if sent twice."""
        channel, key = f"wukong-replies.{self._name}", order.id
        try:
            self._answers.publish(
                channel, answer, type="command-result", idempotency_key=key, retry_seconds=_ANSWER_SECONDS
            )
        except ClientError as error:
            _log.error("Command %s was carried out, but its answer could not be sent: %s", order.id, error)

    def _wait(self, what: str, error: ClientError, backoff: Backoff) -> None:
        if self._stopping.is_set():
            return
        seconds = backoff.wait(error.retry_after)
        _log.warning("%s: %s Tries again in %.1f s.", what, error, seconds)
        self._stopping.wait(seconds)
