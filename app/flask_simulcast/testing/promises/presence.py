"""The promises of a broker about presence: members, and their join and leave events."""

from __future__ import annotations

import json

from ...brokers.lease import MAX_LEASE_SECONDS
from ...presence import Member
from .places import RegisterCase, place_of


class PresencePromises(RegisterCase):
    """Each ``join`` and each ``leave`` is appended once."""

    # Join

    def test_a_member_that_comes_has_a_join_event(self) -> None:
        broker = self.open()
        before = broker.head()
        self.begin(broker, "w", place_of("1", "ann", "c", "d", meta='{"name":"Ann \u4e2d"}'))
        events = self.read_all(broker, before)
        assert [(event.channel, event.type) for event in events] == [("presence:c", "join"), ("presence:d", "join")]
        for event in events:
            assert json.loads(event.data) == {
                "member": "ann",
                "meta": {"name": "Ann \u4e2d"},
                "time": self.clock.time_ms(),
            }
        assert broker.head() == events[-1].position

    def test_a_member_with_several_tabs_joins_once(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "ann", "c"))
        assert self.renew(broker, "w", [place_of("3", "ann", "c")])
        self.begin(self.open_other(broker), "v", place_of("4", "ann", "c"))
        assert self.told(broker) == ["join ann"]
        assert self.members(broker) == ["ann 4"]

    def test_a_listener_that_is_present_nowhere_has_no_join_event(self) -> None:
        broker = self.open()
        before = broker.head()
        nobody = place_of("1", "", "c")
        elsewhere = place_of("2", "ann", "c", present_on=())
        self.begin(broker, "w", nobody, elsewhere)
        assert broker.head() == before
        assert self.members(broker) == []
        self.pass_time(broker, 9)
        assert broker.head() == before

    def test_a_listener_is_present_only_on_the_channels_it_names(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c", "d", present_on=("d",), member="guest"))
        assert self.members(broker, "c") == []
        assert self.members(broker, "d") == ["guest 1"]

    def test_a_place_that_is_replaced_tells_nothing(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        assert self.renew(broker, "w", [place_of("1", "ann", "c", meta='"new"')])
        assert self.told(broker) == ["join ann"]
        assert broker.members("c", "", 9) == [Member("ann", '"new"', 0, 1)]

    def test_a_place_that_is_replaced_by_one_elsewhere_tells_of_both(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c", "d"), place_of("2", "ann", "d"))
        assert self.renew(broker, "w", [place_of("1", "ann", "e", "f")])
        assert [self.told(broker, channel) for channel in "cdef"] == [
            ["join ann", "leave ann"],
            ["join ann"],
            ["join ann"],
            ["join ann"],
        ]
        assert [self.members(broker, channel) for channel in "cdef"] == [[], ["ann 1"], ["ann 1"], ["ann 1"]]

    def test_nothing_to_tell_is_no_event(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"), place_of("2", "ann", "c"))
        head = broker.head()
        assert self.renew(broker, "w")
        assert self.renew(broker, "w", gone=["1", "never"])
        self.pass_time(broker, 4)
        assert broker.head() == head

    # Leave

    def test_a_member_that_goes_has_left_after_the_grace(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c", meta='"bye"'))
        assert self.renew(broker, "w", gone=["1"])
        self.pass_time(broker, 2.9)
        assert self.told(broker) == ["join ann"]
        assert self.members(broker) == ["ann 1"]
        self.pass_time(broker, 0.2)
        assert self.told(broker) == ["join ann", "leave ann"]
        assert self.members(broker) == []
        leave = self.events_of(broker, "presence:c")[-1]
        assert json.loads(leave.data) == {"member": "ann", "meta": "bye", "time": self.clock.time_ms()}

    def test_a_second_report_of_a_gone_listener_does_not_extend_its_grace(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        for _ in range(4):
            assert self.renew(broker, "w", gone=["1"])
            self.pass_time(broker, 1)
        assert self.members(broker) == []

    def test_a_member_that_is_back_within_the_grace_has_not_left(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        assert self.renew(broker, "w", gone=["1"])
        self.pass_time(broker, 2)
        other = self.open_other(broker)
        self.begin(other, "v", place_of("2", "ann", "c"))
        self.pass_time(broker, 2)
        assert self.members(other) == ["ann 1"]
        assert self.told(other) == ["join ann"]

    def test_a_member_leaves_with_the_last_of_its_places(self) -> None:
        broker = self.open()
        self.begin(broker, "w", *(place_of(n, "ann", "c") for n in "123"))
        for gone, left in (("1", ["ann 2"]), ("3", ["ann 1"]), ("2", [])):
            assert self.members(broker)
            assert self.told(broker) == ["join ann"]
            assert self.renew(broker, "w", gone=[gone])
            self.pass_time(broker, 4)
            assert self.members(broker) == left
        assert self.told(broker) == ["join ann", "leave ann"]

    def test_all_places_of_a_member_that_end_at_once_are_one_leave(self) -> None:
        broker = self.open()
        self.begin(broker, "w", *(place_of(n, "ann", "c") for n in "123"))
        assert self.renew(broker, "w", gone=["1", "2", "3"])
        self.pass_time(broker, 4)
        assert self.told(broker) == ["join ann", "leave ann"]

    def test_a_member_that_comes_and_goes_in_one_call_has_both_events(self) -> None:
        broker = self.open()
        self.begin(broker, "w")
        assert self.renew(broker, "w", [place_of("1", "ann", "c")], ["1"])
        assert self.told(broker) == ["join ann"]
        self.pass_time(broker, 4)
        assert self.told(broker) == ["join ann", "leave ann"]

    def test_a_grace_lasts_a_minute_at_most(self) -> None:
        broker = self.open()
        self.begin(broker, "v", place_of("1", "ann", "c"))
        broker.check_out("v", grace_seconds=3600)
        self.pass_time(broker, MAX_LEASE_SECONDS - 1)
        assert self.members(broker) == ["ann 1"]
        self.pass_time(broker, 2)
        assert self.members(broker) == []

    # Members

    def test_members_come_in_the_order_of_names_and_in_pages(self) -> None:
        broker = self.open()
        names = [f"m{n:02}" for n in range(20)]
        self.begin(broker, "w", *(place_of(f"{n}", name, "c", "other") for n, name in enumerate(reversed(names))))
        self.begin(broker, "v", place_of("x", "m03", "c"))
        after, pages = "", []
        while page := broker.members("c", after, 8):
            after = page[-1].member
            pages.append([member.member for member in page])
        assert [len(page) for page in pages] == [8, 8, 4]
        assert [name for page in pages for name in page] == names
        assert [m.listeners for m in broker.members("c", "m01", 3)] == [1, 2, 1]
        assert broker.members("never", "", 9) == broker.members("c", "zzz", 9) == broker.members("c", "", 0) == []

    def test_a_member_shows_what_its_first_place_says(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c", meta="1", since_ms=300))
        assert self.renew(broker, "w", [place_of(n, "ann", "c", meta=n, since_ms=int(n) * 100) for n in "24"])
        assert broker.members("c", "", 9) == [Member("ann", "2", 200, 3)]
        assert self.renew(broker, "w", gone=["2"])
        self.pass_time(broker, 4)
        assert broker.members("c", "", 9) == [Member("ann", "1", 300, 2)]

    def test_another_broker_tells_the_same_members(self) -> None:
        broker = self.open()
        self.begin(broker, "w", place_of("1", "ann", "c"))
        assert self.members(self.open_other(broker)) == ["ann 1"]

    # Hints

    def test_waiting_ends_when_a_member_comes_or_leaves(self) -> None:
        broker = self.open()
        other = self.open_other(broker)

        def come_and_go() -> None:
            self.begin(broker, "w", place_of("1", "ann", "c"))
            broker.check_out("w", grace_seconds=0)
            broker.maintain()

        for waiting in (broker, other):  # the worker that says it is woken as well
            waiting.wait(0)
            self.assert_is_woken(waiting, come_and_go)
