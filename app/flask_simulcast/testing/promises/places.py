"""The promises of a broker about the register: places, the leases on them, and their end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...brokers.base import Broker
from ...brokers.check_in import CheckIn
from ...brokers.lease import MAX_LEASE_SECONDS
from ...event import Position
from ...presence import Place
from .broker_case import BEFORE_ALL, BrokerCase


def place_of(listener: str, user: str = "", *channels: str, **more: object) -> Place:
    """Make the place of a user's listener that is present under the user's name on all of its channels."""
    place = Place(listener, user, user, channels, channels, f'{{"of":"{listener}"}}', "", "sse", 0)
    return place._replace(**more)  # type: ignore[arg-type]


class RegisterCase(BrokerCase):
    """Short forms of the calls to a register. A lease lasts 8 s, a grace 3 s."""

    def begin(self, broker: Broker, worker: str, *places: Place) -> None:
        """Begin a worker's lease, with these listeners alone."""
        assert broker.check_in(CheckIn(worker, places, [], renews=False, lease_seconds=8, grace_seconds=3))

    def renew(self, broker: Broker, worker: str, come: Sequence[Place] = (), gone: Sequence[str] = ()) -> bool:
        """Check a worker in again."""
        return broker.check_in(CheckIn(worker, come, gone, renews=True, lease_seconds=8, grace_seconds=3))

    @staticmethod
    def ids(places: Sequence[Place]) -> list[str]:
        """Return the ids of the listeners."""
        return [place.listener for place in places]

    def told(self, broker: Broker, channel: str = "c", after: Position = BEFORE_ALL) -> list[str]:
        """Return the join and leave events, as ``join ann``."""
        return [
            f"{event.type} {json.loads(event.data)['member']}"
            for event in self.events_of(broker, f"presence:{channel}", after=after)
        ]

    def members(self, broker: Broker, channel: str = "c") -> list[str]:
        """Return the names of the members, and the number of places of each."""
        return [f"{member.member} {member.listeners}" for member in broker.members(channel, "", 99)]

    def pass_time(self, broker: Broker, seconds: float) -> None:
        """Let time pass, then sweep."""
        self.clock.advance(seconds)
        broker.maintain()


class PlacePromises(RegisterCase):
    """Places of connected listeners."""

    def test_a_place_comes_back_as_it_was(self) -> None:
        broker = self.open()
        place = Place(
            "1-a",
            "Zo\u00eb \u4e2d '\"\\",
            "guest:5",
            ("c", "d", "all", "user:x"),
            ("d",),
            '{"name":"\U0001f600 \\u0000","n":[1,null]}',
            "token",
            "ndjson",
            1_763_690_000_123,
            "w",
        )
        self.begin(broker, "w", place, place_of("2", "", "c"))
        other = self.open_other(broker)
        for reader in (broker, other):
            assert reader.place("1-a") == place
            assert reader.places("", 9, user=place.user) == [place]
            assert reader.places("", 9)[0] == place
        assert broker.place("never") is None

    def test_places_come_in_the_order_of_ids_and_in_pages(self) -> None:
        broker = self.open()
        ids = [f"{n:02}" for n in range(30)]
        self.begin(broker, "v", *(place_of(i, "ann", "c") for i in ids[::2]))
        self.begin(broker, "w", *(place_of(i, "bob", "c", "d") for i in ids[1::2]))
        after, pages = "", []
        while page := broker.places(after, 7):
            after = page[-1].listener
            pages.append(self.ids(page))
        assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
        assert [i for page in pages for i in page] == ids
        assert self.ids(broker.places("03", 3, channel="c")) == ["04", "05", "06"]
        assert self.ids(broker.places("03", 3, channel="d")) == ["05", "07", "09"]
        assert self.ids(broker.places("03", 3, user="ann")) == ["04", "06", "08"]
        assert self.ids(broker.places("03", 3, channel="d", user="bob")) == ["05", "07", "09"]
        assert broker.places("", 9, channel="d", user="ann") == []
        assert (
            broker.places("", 9, channel="never") == broker.places("", 9, user="never") == broker.places("99", 9) == []
        )
        assert broker.places("", 0) == []

    def test_a_place_is_replaced_by_a_later_one_of_its_listener(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c", meta="1"))
        later = place_of("1", "bob", "d", meta="2", worker="w")
        assert self.renew(broker, "w", [place_of("1", "ann", "e"), later])
        assert broker.places("", 9) == [later]
        assert (
            broker.places("", 9, channel="c")
            == broker.places("", 9, channel="e")
            == broker.places("", 9, user="ann")
            == []
        )
        assert broker.places("", 9, channel="d") == broker.places("", 9, user="bob") == [later]

    def test_a_listener_that_is_gone_has_no_place_at_once(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "ann", "c"))
        assert self.renew(broker, "w", gone=["1", "never"])
        assert broker.place("1") is None
        for places in (broker.places("", 9), broker.places("", 9, channel="c"), broker.places("", 9, user="ann")):
            assert self.ids(places) == ["2"]

    def test_a_listener_that_comes_and_goes_in_one_call_is_gone(self) -> None:
        broker = self.open()
        self.begin(broker, "w")
        assert self.renew(broker, "w", [place_of("1", "ann", "c")], ["1"])
        assert broker.places("", 9) == []

    def test_a_worker_ends_only_its_own_places(self) -> None:
        broker = self.open()
        self.begin(broker, "v", place_of("1", "", "c"))
        self.begin(broker, "w", place_of("2", "", "c"))
        assert self.renew(broker, "w", gone=["1"])
        assert self.ids(broker.places("", 9)) == ["1", "2"]
        broker.check_out("w", grace_seconds=3)
        self.begin(broker, "w", place_of("3", "", "c"))
        assert self.ids(broker.places("", 9)) == ["1", "3"]

    # Leases of workers

    def test_a_lease_that_was_never_begun_cannot_be_renewed(self) -> None:
        broker = self.open()
        head = broker.head()
        assert not self.renew(broker, "w", [place_of("1", "ann", "c")])
        assert broker.places("", 9) == []
        assert broker.members("c", "", 9) == []
        assert broker.head() == head

    def test_the_places_of_a_worker_end_with_its_lease(self) -> None:
        broker = self.open()
        self.begin(broker, "v", place_of("1", "ann", "c"))
        self.begin(broker, "w", place_of("2", "ann", "c"))
        for _ in range(5):
            self.clock.advance(7.9)
            assert self.renew(broker, "v")
            broker.maintain()
        assert broker.place("2") is None
        for places in (broker.places("", 9), broker.places("", 9, channel="c"), broker.places("", 9, user="ann")):
            assert self.ids(places) == ["1"]

    def test_places_of_a_lease_that_has_ended_are_not_listed_before_the_sweep_either(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        self.clock.advance(7.9)
        assert self.ids(broker.places("", 9)) == ["1"]
        self.clock.advance(0.2)
        assert broker.place("1") is None
        assert broker.places("", 9) == broker.places("", 9, channel="c") == broker.places("", 9, user="ann") == []

    def test_a_lease_that_has_ended_is_not_renewed(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        self.clock.advance(8.1)
        for _ in range(2):  # before the sweep, and after
            head = broker.head()
            assert not self.renew(broker, "w", [place_of("2", "bob", "c")], ["1"])
            assert broker.head() == head
            assert broker.place("2") is None
            broker.maintain()
        self.begin(broker, "w", place_of("2", "bob", "c"))
        assert self.renew(broker, "w")
        assert self.ids(broker.places("", 9)) == ["2"]

    def test_the_lease_of_a_worker_is_monotonic(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        for seconds in (86_400, -172_800):
            self.clock.jump(seconds)
            broker.maintain()
            assert broker.place("1") is not None
            assert self.renew(broker, "w")

    def test_a_lease_of_a_worker_lasts_a_minute_at_most(self) -> None:
        broker = self.open()
        assert broker.check_in(
            CheckIn("w", [place_of("1", "", "c")], [], renews=False, lease_seconds=900, grace_seconds=900)
        )
        self.clock.advance(MAX_LEASE_SECONDS - 1)
        assert broker.place("1") is not None
        self.clock.advance(2)
        assert broker.place("1") is None

    def test_a_worker_that_begins_a_new_lease_has_its_new_places_alone(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "bob", "c"))
        self.begin(broker, "w", place_of("2", "bob", "c"), place_of("3", "cat", "c"))
        assert self.ids(broker.places("", 9)) == ["2", "3"]

    def test_a_worker_that_has_checked_out_has_no_places_and_no_lease(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        broker.check_out("w", grace_seconds=3)
        assert broker.place("1") is None
        assert broker.places("", 9) == []
        assert not self.renew(broker, "w")
        broker.check_out("never", grace_seconds=3)

    def test_another_broker_sees_and_sweeps_the_same_register(self) -> None:
        broker = self.open()
        other = self.open_other(broker)
        self.begin(broker, "v", place_of("1", "ann", "c"))
        self.begin(other, "w", place_of("2", "ann", "c"))
        for reader in (broker, other):
            assert self.ids(reader.places("", 9, channel="c")) == ["1", "2"]
        assert self.renew(other, "v", gone=["1"])
        assert broker.place("1") is None
