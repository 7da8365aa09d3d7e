"""The promises of a broker about presence when workers freeze, end, or do both at the same time."""

from __future__ import annotations

import threading
from functools import partial

from ...event import PRESENCE_PREFIX
from .coming_and_going import CHANNELS, BusyWorker, check_told
from .places import RegisterCase, place_of


class WorkerPromises(RegisterCase):
    """Members of a worker that is gone have left."""

    def test_members_of_a_worker_that_is_silent_leave(self) -> None:
        broker = self.open()
        self.begin(broker, "v", place_of("1", "ann", "c"), place_of("2", "bob", "c"))
        self.begin(self.open_other(broker), "w", place_of("3", "bob", "c"))
        self.clock.advance(7.9)
        assert self.renew(broker, "w")
        broker.maintain()
        assert self.members(broker) == ["ann 1", "bob 2"]
        self.pass_time(broker, 0.2)
        assert self.members(broker) == ["bob 1"]
        assert self.told(broker) == ["join ann", "join bob", "leave ann"]

    def test_a_worker_that_was_frozen_brings_its_members_back(self) -> None:
        broker = self.open()
        ann, bob = place_of("1", "ann", "c"), place_of("2", "bob", "c")
        self.begin(broker, "w", ann, bob)
        self.pass_time(broker, 20)
        assert not self.renew(broker, "w")
        self.begin(broker, "w", ann, bob)
        assert self.told(broker) == [f"{what} {who}" for what in ("join", "leave", "join") for who in ("ann", "bob")]
        assert self.members(broker) == ["ann 1", "bob 1"]

    def test_a_worker_that_begins_a_new_lease_before_the_sweep_tells_only_changes(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "bob", "c"))
        self.clock.advance(20)
        self.begin(broker, "w", place_of("2", "bob", "c"), place_of("3", "cat", "c"))
        assert self.told(broker) == ["join ann", "join bob", "join cat"]
        broker.maintain()
        assert self.told(broker) == ["join ann", "join bob", "join cat", "leave ann"]
        assert self.members(broker) == ["bob 1", "cat 1"]

    def test_members_of_a_worker_that_checks_out_leave_after_the_grace(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "bob", "c"), place_of("3", "cat", "c"))
        assert self.renew(broker, "w", gone=["3"])
        self.pass_time(broker, 2)
        broker.check_out("w", grace_seconds=20)
        self.pass_time(broker, 2)
        assert self.members(broker) == ["ann 1", "bob 1"]  # a grace that had begun does not get longer
        self.begin(broker, "v", place_of("4", "ann", "c"))
        for _ in range(4):
            self.pass_time(broker, 5)
            assert self.renew(broker, "v")
        assert self.told(broker) == ["join ann", "join bob", "join cat", "leave cat", "leave bob"]

    def test_all_members_leave_whatever_their_number(self) -> None:
        broker = self.open(history_events=10_000)
        self.begin(broker, "w", *(place_of(f"{n:04}", f"m{n // 2}", "c", "d") for n in range(900)))
        assert len(broker.members("c", "", 1000)) == 450
        for _ in range(3):
            self.pass_time(broker, 9)
        assert broker.members("c", "", 1000) == broker.members("d", "", 1000) == []
        for channel in "cd":
            told = self.told(broker, channel)
            assert len(told) == len(set(told)) == 900
            assert not any(line.startswith("join") for line in told[450:])

    def test_members_and_events_agree_when_workers_start_end_and_freeze(self) -> None:
        """Workers start, end and freeze at the same time, while another broker sweeps."""
        broker = self.open(history_events=1_000_000, broker_seconds=30)
        start = broker.head()
        told_on = [PRESENCE_PREFIX + channel for channel in CHANNELS]
        workers = [BusyWorker(self.open_other(broker, broker_seconds=30), f"w{n}", seed=n) for n in range(3)]
        is_over = threading.Event()

        def sweep() -> None:
            while not is_over.wait(0.002):
                self.pass_time(broker, 0.5)

        sweeper = threading.Thread(target=sweep)
        sweeper.start()
        try:
            for _ in range(3):
                self.race(*(partial(worker.work, 60) for worker in workers))
        finally:
            is_over.set()
            sweeper.join()
        self.pass_time(broker, 0)
        check_told(broker, self.events_of(broker, *told_on, after=start))
        for worker in workers:
            worker.settle()
        self.pass_time(broker, 4)
        for worker in workers:
            worker.settle()
        present = {presence for worker in workers for presence in worker.presences}
        assert check_told(broker, self.events_of(broker, *told_on, after=start)) == present
        for worker in workers:
            broker.check_out(worker.name, grace_seconds=0)
        self.pass_time(broker, 4)
        assert check_told(broker, self.events_of(broker, *told_on, after=start)) == set()
