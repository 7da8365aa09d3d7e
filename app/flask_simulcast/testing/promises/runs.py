"""The promises about runs."""

from __future__ import annotations

import json
import random

from ...brokers.base import Broker
from ...event import RUN_PREFIX, Draft
from ...run_state import CANCELLED, COMPLETE, ENDINGS, FAILED, RunAppend
from .broker_case import BEFORE_ALL, BrokerCase

LEASE = 10


def draft(run: str, value: object, type: str = "message") -> Draft:
    """Make an event of a run."""
    return Draft(RUN_PREFIX + run, type, json.dumps(value))


def begin(broker: Broker, run: str, *, user: str = "ann", worker: str = "w1") -> bool:
    """Begin a run; return whether it is new."""
    return broker.begin_run(run, user, "{}", worker, LEASE)[1]


def publish(broker: Broker, run: str, after: int, *values: object) -> bool:
    """Append events as the producer does; return whether the run has them."""
    return broker.append_to_runs([RunAppend(run, [draft(run, value) for value in values], after)])[0]


def end(broker: Broker, run: str, ending: str, after: int | None = None) -> bool:
    """Append an ending; return whether the run has it."""
    return broker.append_to_runs([RunAppend(run, [draft(run, None, ending)], after, ending)])[0]


class RunPromises(BrokerCase):
    """What a broker promises about runs."""

    def types_of(self, broker: Broker, run: str) -> list[str]:
        """The types of a run's events."""
        return [event.type for event in self.events_of(broker, RUN_PREFIX + run)]

    def test_a_run_is_kept_with_what_it_began_with(self) -> None:
        broker = self.open()
        self.store(broker, "other", 1)
        record, is_new = broker.begin_run("r", "ann", '{"kind":"export"}', "w1", LEASE)
        assert is_new
        assert (record.id, record.user, record.meta, record.worker) == ("r", "ann", '{"kind":"export"}', "w1")
        assert (record.begin, record.started_ms) == (broker.head(), self.clock.time_ms())
        assert (record.events, record.ending, record.end) == (0, "", None)
        assert broker.run("r") == record
        assert broker.run("s") is None

    def test_a_run_that_is_known_is_joined(self) -> None:
        broker = self.open()
        first, _ = broker.begin_run("r", "ann", "{}", "w1", LEASE)
        publish(broker, "r", 0, 1)
        known, is_new = self.open_other(broker).begin_run("r", "bob", "[]", "w2", LEASE)
        assert not is_new
        assert known == first._replace(events=1)

    def test_its_events_stand_on_its_channel_after_its_beginning(self) -> None:
        broker = self.open()
        begin(broker, "r")
        record = broker.run("r")
        assert record is not None
        assert publish(broker, "r", 0, 1, 2)
        assert publish(broker, "r", 2, 3)
        page = broker.page([record.channel], record.begin, broker.head(), 1 << 20)
        assert [event.data for event in page.events] == ["1", "2", "3"]
        assert broker.run("r") == record._replace(events=3)
        assert [event.data for event in self.read_all(broker, record.begin)] == ["1", "2", "3"]

    def test_readers_are_woken(self) -> None:
        broker = self.open()
        begin(broker, "r")
        stored = 0

        def happen() -> None:
            nonlocal stored
            assert publish(broker, "r", stored, stored)
            stored += 1

        self.assert_is_woken(broker, happen)

    def test_a_second_try_stores_nothing_twice(self) -> None:
        broker = self.open()
        begin(broker, "r")
        for _ in range(2):
            assert publish(broker, "r", 0, 1, 2)
            assert publish(broker, "r", 2, 3)
        for _ in range(2):
            assert end(broker, "r", COMPLETE, 3)
        assert self.types_of(broker, "r") == ["message", "message", "message", COMPLETE]

    def test_nothing_follows_the_ending(self) -> None:
        broker = self.open()
        begin(broker, "r")
        publish(broker, "r", 0, 1)
        assert end(broker, "r", CANCELLED)
        head = broker.head()
        assert not publish(broker, "r", 1, 2)
        assert not any(end(broker, "r", ending, 1) for ending in ENDINGS)
        assert not any(end(broker, "r", ending) for ending in ENDINGS)
        assert broker.head() == head
        record = broker.run("r")
        assert record is not None
        assert (record.ending, record.end, record.events) == (CANCELLED, head, 1)

    def test_an_unknown_run_takes_nothing(self) -> None:
        broker = self.open()
        head = broker.head()
        assert not publish(broker, "r", 0, 1)
        assert not end(broker, "r", COMPLETE)
        assert broker.head() == head

    def test_several_runs_are_appended_to_at_once_each_all_or_none(self) -> None:
        broker = self.open()
        for run in "abc":
            begin(broker, run)
        end(broker, "b", CANCELLED)
        appends = [RunAppend(run, [draft(run, 1), draft(run, 2)], 0) for run in "abcx"]
        assert broker.append_to_runs(appends) == [True, False, True, False]
        assert [len(self.types_of(broker, run)) for run in "abc"] == [2, 1, 2]

    def test_one_ending_wins_and_nothing_follows_it(self) -> None:
        """Producer, canceller, a time limit and the sweep race; a second broker is another worker."""
        broker = self.open()
        other = self.open_other(broker)
        dice = random.Random(7)
        for number in range(20):
            run = f"race-{number}"
            begin(broker, run)
            won: list[str] = []

            def produce(run: str = run, won: list[str] = won) -> None:
                stored = 0
                while stored < 5 and publish(broker, run, stored, stored):
                    stored += 1
                if stored == 5 and end(broker, run, COMPLETE, stored):
                    won.append(COMPLETE)

            def cancel(run: str = run, won: list[str] = won) -> None:
                if end(other, run, CANCELLED):
                    won.append(CANCELLED)

            def time_out(run: str = run, won: list[str] = won) -> None:
                if end(broker, run, FAILED):
                    won.append(FAILED)

            def sweep() -> None:
                self.clock.advance(LEASE + 1)
                other.maintain()

            jobs = [produce, cancel, time_out, sweep]
            dice.shuffle(jobs)
            self.race(*jobs)
            types = self.types_of(broker, run)
            record = other.run(run)
            assert record is not None
            assert [type for type in types if type in ENDINGS] == types[-1:] == [record.ending]
            assert won in ([], [record.ending]), "without a winner it was the sweep"
            assert record.end == self.events_of(broker, RUN_PREFIX + run)[-1].position

    # The lease

    def test_a_worker_holds_those_of_its_runs_that_have_not_ended(self) -> None:
        broker = self.open()
        for run in "abc":
            begin(broker, run)
        begin(broker, "other", worker="w2")
        end(broker, "b", CANCELLED)
        known = ["a", "b", "c", "other", "unknown"]
        assert broker.hold_runs("w1", known, LEASE) == {"a", "c"}
        assert broker.hold_runs("w2", known, LEASE) == {"other"}
        assert broker.hold_runs("w3", known, LEASE) == set()
        assert broker.hold_runs("w1", [], LEASE) == set()

    def test_a_run_that_its_worker_does_not_know_is_lost(self) -> None:
        """Its beginning was stored, but the answer was not heard."""
        broker = self.open()
        for run in ("known", "unheard"):
            begin(broker, run)
        for _ in range(3):
            self.clock.advance(LEASE - 1)
            assert broker.hold_runs("w1", ["known"], LEASE) == {"known"}
            broker.maintain()
        assert [self.types_of(broker, run) for run in ("known", "unheard")] == [[], [FAILED]]

    def test_a_run_whose_worker_is_lost_fails_and_says_so(self) -> None:
        broker = self.open()
        begin(broker, "held")
        begin(broker, "lost", worker="w2")
        publish(broker, "lost", 0, 1)
        for _ in range(3):
            self.clock.advance(LEASE - 1)
            assert broker.hold_runs("w1", ["held"], LEASE) == {"held"}
            broker.maintain()
        assert self.types_of(broker, "held") == []
        assert self.types_of(broker, "lost") == ["message", FAILED]
        last = self.events_of(broker, RUN_PREFIX + "lost")[-1]
        assert json.loads(last.data)["code"] == "worker_lost"
        assert not publish(broker, "lost", 1, 2), "a frozen worker wakes up late"
        assert broker.hold_runs("w2", ["lost"], LEASE) == set()

    def test_the_sweep_tells_readers(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        begin(broker, "r")
        self.clock.advance(LEASE + 1)
        after = other.head()
        broker.maintain()
        assert [event.type for event in self.read_all(other, after)] == [FAILED]

    def test_a_lease_of_before_a_reboot_is_over(self) -> None:
        broker = self.open()
        begin(broker, "r")
        self.clock.advance(-10_000)
        broker.maintain()
        assert self.types_of(broker, "r") in ([FAILED], []), "a log in memory does not outlive its process"

    # Lists

    def test_runs_are_listed_in_the_order_of_ids(self) -> None:
        broker = self.open()
        for number in range(25):
            begin(broker, f"r{number:02}", user="ann" if number % 2 else "bob")
        assert [record.id for record in broker.runs("", 100)] == [f"r{number:02}" for number in range(25)]
        assert [record.id for record in broker.runs("r20", 2)] == ["r21", "r22"]
        assert [record.id for record in broker.runs("", 3, user="ann")] == ["r01", "r03", "r05"]
        assert [record.id for record in broker.runs("r05", 3, user="ann")] == ["r07", "r09", "r11"]
        assert broker.runs("", 9, user="cat") == []

    def test_an_ended_run_is_known_as_long_as_its_history(self) -> None:
        broker = self.open(history_channels={RUN_PREFIX: [100, 600]})
        for run in ("ended", "open"):
            begin(broker, run)
        end(broker, "ended", COMPLETE, 0)
        for seconds in (590, 20):
            for _ in range(seconds // 5):
                self.clock.advance(5)
                broker.hold_runs("w1", ["open"], LEASE)
            broker.maintain()
            assert broker.run("open") is not None
            if seconds == 590:
                assert broker.run("ended") is not None
        assert broker.run("ended") is None
        assert [record.id for record in broker.runs("", 9)] == ["open"]
        assert [record.id for record in broker.runs("", 9, user="ann")] == ["open"]
        assert begin(broker, "ended"), "the id is free again"

    def test_a_run_with_wide_text(self) -> None:
        broker = self.open()
        record, _ = broker.begin_run("r", "Zoë 🙂", '{"title":"naïve 🙂"}', "w 1", LEASE)
        assert self.open_other(broker).run("r") == record
        assert broker.runs("", 9, user="Zoë 🙂") == [record]
        assert broker.append_to_runs([RunAppend("r", [draft("r", "🙂")], 0)]) == [True]
        assert self.events_of(broker, RUN_PREFIX + "r", after=BEFORE_ALL)[0].data == json.dumps("🙂")
