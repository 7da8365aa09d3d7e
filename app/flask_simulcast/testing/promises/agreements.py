"""The promises of a broker about leases, small texts and revocations."""

from __future__ import annotations

import threading
import time

from ...brokers.base import Broker
from ...brokers.lease import MAX_LEASE_SECONDS
from ...event import CONTROL, Draft, Position
from .broker_case import BrokerCase


class AgreementPromises(BrokerCase):
    """Leases, texts and revocations, which all workers share."""

    # Leases

    def test_a_lease_has_one_holder(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        assert broker.hold_lease("job", "a", 10)
        assert not other.hold_lease("job", "b", 10)
        assert broker.hold_lease("job", "a", 10)
        assert other.hold_lease("another job", "b", 10)

    def test_a_lease_that_is_renewed_does_not_end(self) -> None:
        broker = self.open()
        for _ in range(20):
            assert broker.hold_lease("job", "a", 10)
            self.clock.advance(4)
            assert not broker.hold_lease("job", "b", 10)

    def test_a_lease_ends_by_the_monotonic_clock(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 10)
        self.clock.jump(3600)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.jump(-7200)
        self.clock.advance(9)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.advance(1.5)
        assert broker.hold_lease("job", "b", 10)
        assert not broker.hold_lease("job", "a", 10)

    def test_a_lease_that_is_released_is_free(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 10)
        broker.release_lease("job", "b")
        assert not broker.hold_lease("job", "b", 10)
        broker.release_lease("job", "a")
        assert broker.hold_lease("job", "b", 10)
        broker.release_lease("never held", "a")

    def test_a_lease_lasts_a_minute_at_most(self) -> None:
        broker = self.open()
        assert broker.hold_lease("job", "a", 3600)
        assert not broker.hold_lease("job", "b", 10)
        self.clock.advance(MAX_LEASE_SECONDS + 1)
        assert broker.hold_lease("job", "b", 10)

    # Small texts

    def test_a_text_is_kept(self) -> None:
        broker = self.open()
        for name, value in (("a", "\u4e2d '\"\\\n"), ("A", ""), ("a:b", "x" * 100_000)):
            broker.put_text(name, value, 30)
            assert broker.get_text(name) == broker.get_text(name) == self.open_other(broker).get_text(name) == value
        assert broker.get_text("never") is None

    def test_a_text_is_kept_for_its_time(self) -> None:
        broker = self.open()
        for ask in (broker.get_text, broker.pop_text):
            for sweeps in (False, True):
                broker.put_text("t", "x", 30)
                self.clock.advance(29)
                broker.maintain()
                assert broker.get_text("t") == "x"
                self.clock.advance(2)
                if sweeps:
                    broker.maintain()
                assert ask("t") is None

    def test_a_text_can_be_kept_for_a_year(self) -> None:
        broker = self.open()
        broker.put_text("t", "x", 366 * 86400)
        for _ in range(3):
            self.clock.advance(121 * 86400)
            broker.maintain()
            assert broker.get_text("t") == "x"
        self.clock.advance(4 * 86400)
        assert broker.get_text("t") is None

    def test_the_time_of_a_text_is_monotonic(self) -> None:
        broker = self.open()
        broker.put_text("t", "x", 30)
        for seconds in (86_400, -172_800):
            self.clock.jump(seconds)
            broker.maintain()
            assert broker.get_text("t") == "x"

    def test_a_later_text_replaces_an_earlier_one_and_its_time(self) -> None:
        broker = self.open()
        broker.put_text("t", "1", 30)
        broker.put_text("t", "2", 60)
        self.clock.advance(45)
        broker.maintain()
        assert broker.get_text("t") == "2"
        broker.put_text("t", "3", 5)
        self.clock.advance(6)
        assert broker.get_text("t") is None

    def test_a_text_is_taken_once(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        broker.put_text("t", "x", 30)
        broker.put_text("u", "y", 30)
        assert other.pop_text("t") == "x"
        assert broker.pop_text("t") is other.pop_text("t") is broker.get_text("t") is broker.pop_text("never") is None
        assert broker.get_text("u") == "y"
        broker.put_text("t", "again", 30)
        assert broker.pop_text("t") == "again"

    def test_a_text_that_several_callers_take_at_once_is_given_to_one(self) -> None:
        broker = self.open(broker_seconds=30)
        other = self.open_other(broker, broker_seconds=30)
        names = [f"ticket {n}" for n in range(self.tickets)]
        taken: list[str] = []  # appending to a list is atomic

        def keep(part: int) -> None:
            for name in names[part::4]:
                broker.put_text(name, name, 60)

        def take(racer: int) -> None:
            mine = broker if racer % 2 else other
            for n, name in enumerate(names[racer * 5 :]):
                value = mine.pop_text(name)
                if value is not None:
                    taken.append(value)
                if n % 64 == racer:
                    time.sleep(0)  # lets other threads run

        self.race(*(lambda part=part: keep(part) for part in range(4)))
        self.race(*(lambda racer=racer: take(racer) for racer in range(2)))
        assert len(taken) == len(names)
        assert set(taken) == set(names)

    # Revocation

    def revoke(self, broker: Broker, name: str, before_ms: int, seconds: float = 600) -> Position:
        """Revoke a name, with an event that tells the workers."""
        return broker.revoke(name, before_ms, seconds, Draft(CONTROL, "revoke", f'"{name}"'))

    def test_a_revocation_is_known_to_every_broker(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        assert broker.revoked_before(["user:ann"]) == broker.revoked_before([]) == 0
        self.revoke(broker, "user:ann", 1000)
        self.revoke(broker, "token:t", 3000)
        for reader in (broker, other):
            assert reader.revoked_before(["user:ann"]) == 1000
            assert reader.revoked_before(["user:bob", "token:t", "user:ann"]) == 3000
            assert reader.revoked_before(["user:bob", "token:u"]) == 0

    def test_a_revocation_is_an_event(self) -> None:
        broker = self.open()
        before = broker.head()
        position = self.revoke(broker, "user:ann", 1000)
        assert [(e.position, e.channel, e.type, e.data) for e in self.read_all(broker, before)] == [
            (position, CONTROL, "revoke", '"user:ann"')
        ]
        assert broker.head() == position
        assert self.revoke(broker, "user:ann", 500).key > position.key

    def test_a_later_revocation_replaces_an_earlier_one_never_the_other_way_round(self) -> None:
        broker = self.open()
        for before_ms, expected in ((1000, 1000), (2000, 2000), (1500, 2000), (2000, 2000)):
            self.revoke(broker, "user:ann", before_ms)
            assert broker.revoked_before(["user:ann"]) == expected

    def test_a_revocation_is_remembered_for_the_longest_time_that_was_asked_for(self) -> None:
        broker = self.open()
        self.revoke(broker, "user:ann", 1000, 600)
        self.revoke(broker, "user:ann", 2000, 60)
        self.clock.advance(599)
        broker.maintain()
        assert broker.revoked_before(["user:ann"]) == 2000
        self.clock.advance(2)
        assert broker.revoked_before(["user:ann"]) == 0
        broker.maintain()
        assert broker.revoked_before(["user:ann"]) == 0

    def test_the_end_of_a_revocation_is_wall_clock_time(self) -> None:
        broker = self.open()
        self.revoke(broker, "user:ann", 1000)
        self.clock.jump(601)
        assert broker.revoked_before(["user:ann"]) == 0

    def test_waiting_ends_when_a_revocation_is_stored(self) -> None:
        broker = self.open()
        broker.wait(0)
        is_over = threading.Event()

        def revoke_now_and_then() -> None:
            while not is_over.wait(0.02):
                self.revoke(broker, "user:ann", 1000)

        thread = threading.Thread(target=revoke_now_and_then)
        thread.start()
        try:
            began = time.monotonic()
            broker.wait(30)  # the broker that appended the event wakes up too
            assert time.monotonic() - began < 10
        finally:
            is_over.set()
            thread.join()
