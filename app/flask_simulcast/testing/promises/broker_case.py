"""The base class of the promises: it opens the brokers of one test, and calls them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ...brokers.base import SETTLE_SECONDS, Broker, Clock, Verdict
from ...event import Draft, Event, Position
from ...settings import Settings
from ..clock import FakeClock

BEFORE_ALL = Position(0, 0)


class BrokerCase:
    """Opens the brokers of one test, and closes them at its end."""

    is_shared = True
    tickets = 100_000
    clock: FakeClock
    _open: list[Broker]

    def make_broker(self, settings: Settings, clock: Clock) -> Broker:
        """Open a log for this test alone."""
        raise NotImplementedError(
            "This class makes no broker. Define make_broker(self, settings, clock) in the subclass."
        )

    def setup_method(self) -> None:
        self.clock = FakeClock()
        self._open = []

    def teardown_method(self) -> None:
        for broker in self._open:
            broker.close()

    def open(self, **settings: Any) -> Broker:
        """Open a broker, and close it at the end of the test."""
        broker = self.make_broker(Settings(**settings), self.clock)
        self._open.append(broker)
        return broker

    def open_other(self, broker: Broker, **settings: Any) -> Broker:
        """Open a second broker on the same log. If a log can't be shared, return the first."""
        return self.open(**settings) if self.is_shared else broker

    def settle(self, broker: Broker) -> None:
        """Let time pass until the log's events are old enough, then trim them."""
        broker.maintain()
        self.clock.advance(SETTLE_SECONDS + 1)
        broker.maintain()

    @staticmethod
    def store(broker: Broker, channel: str, *data: object) -> list[Position]:
        """Append these events, with one call each."""
        return [broker.append([Draft(channel, "message", f'"{value}"')])[0] for value in data]

    @staticmethod
    def events_of(broker: Broker, *channels: str, after: Position = BEFORE_ALL) -> list[Event]:
        """Return all events of history, read page by page."""
        events: list[Event] = []
        head = broker.head()
        while after.key < head.key:
            page = broker.page(sorted(channels), after, head, 64 << 10)
            events += page.events
            after = page.covered_to
        return events

    @classmethod
    def data_of(cls, broker: Broker, *channels: str, after: Position = BEFORE_ALL) -> list[str]:
        """Return the data of all events of history, without its quotes."""
        return [event.data.strip('"') for event in cls.events_of(broker, *channels, after=after)]

    @staticmethod
    def read_all(broker: Broker, after: Position) -> list[Event]:
        """Read all events after a position, as a pump does."""
        events: list[Event] = []
        while batch := broker.read(after).events:
            events += batch
            after = batch[-1].position
        return events

    def verdict_is(self, broker: Broker, position: Position, channels: Iterable[str], reason: str | None) -> Verdict:
        """Ask for a verdict, and compare its reason."""
        verdict = broker.verdict(position, tuple(channels))
        assert verdict.reason == reason
        return verdict

    @staticmethod
    def assert_is_woken(broker: Broker, happen: Callable[[], object]) -> None:
        """Check that `wait` ends early, again and again, while another thread calls a function every 20 ms."""
        is_over = threading.Event()

        def repeat() -> None:
            while not is_over.wait(0.02):
                happen()

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            for _ in range(3):
                began = time.monotonic()
                broker.wait(30)
                assert time.monotonic() - began < 10
        finally:
            is_over.set()
            thread.join()

    @staticmethod
    def race(*jobs: Callable[[], object]) -> None:
        """Run functions at the same time, in threads. In a patched process these are greenlets."""
        failures: list[BaseException] = []

        def run(job: Callable[[], object]) -> None:
            try:
                job()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
