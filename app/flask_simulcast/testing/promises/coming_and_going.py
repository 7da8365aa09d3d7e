"""A worker whose listeners come and go at random, and a check of the join and leave events about them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable

from ...brokers.base import Broker
from ...brokers.check_in import CheckIn
from ...event import PRESENCE_PREFIX, Event
from ...presence import JOIN, LEAVE, Place, Presence, presences_of

CHANNELS = ("a", "b")
_MEMBERS = ("ann", "bob", "cat")


class BusyWorker:
    """A worker that knows its connected listeners; the register might learn of them later.

    Args:
        broker: The broker where the worker checks in.
        name: Id of the worker.
        seed: Seed of the random choices.
        lease_seconds: Seconds of its lease.
        grace_seconds: Seconds of grace for listeners that leave.
    """

    def __init__(
        self, broker: Broker, name: str, *, seed: int, lease_seconds: float = 8, grace_seconds: float = 3
    ) -> None:
        self.name = name
        self._broker = broker
        self._dice = random.Random(seed)
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._connected: dict[str, Place] = {}
        self._count = 0

    @property
    def presences(self) -> set[Presence]:
        """The presences of its listeners."""
        return set(presences_of(self._connected.values()))

    def work(self, actions: int) -> None:
        """Do a number of random actions."""
        for _ in range(actions):
            what = self._dice.choice(("change", "change", "change", "change", "renew", "anew", "end"))
            if what == "end":
                self._connected.clear()
                self._broker.check_out(self.name, grace_seconds=self._dice.choice((0, self._grace_seconds)))
            elif what == "anew":
                self._begin()
            else:
                self._check_in([], []) if what == "renew" else self._change()
            time.sleep(0)  # lets other threads run

    def settle(self) -> None:
        """Check in, so that the register knows what the worker knows."""
        self._check_in([], [])

    def _change(self) -> None:
        come = [self._new_place() for _ in range(self._dice.choice((0, 1, 1, 2)))]
        gone = [listener for listener in self._connected if self._dice.random() < 0.4]
        for listener in gone:
            del self._connected[listener]
        self._connected |= {place.listener: place for place in come}
        self._check_in(come, gone)

    def _new_place(self) -> Place:
        self._count += 1
        channels = tuple(self._dice.sample(CHANNELS, self._dice.choice((1, 2))))
        member = self._dice.choice(_MEMBERS)
        return Place(f"{self.name}-{self._count}", member, member, channels, channels, "{}", "", "sse", self._count)

    def _check_in(self, come: list[Place], gone: list[str]) -> None:
        if not self._call(come, gone, renews=True):
            self._begin()

    def _begin(self) -> None:
        assert self._call(list(self._connected.values()), [], renews=False)

    def _call(self, come: list[Place], gone: list[str], *, renews: bool) -> bool:
        return self._broker.check_in(
            CheckIn(
                self.name,
                come,
                gone,
                renews=renews,
                lease_seconds=self._lease_seconds,
                grace_seconds=self._grace_seconds,
            )
        )


def check_told(broker: Broker, events: Iterable[Event]) -> set[Presence]:
    """Check that each member has join and leave events in turn, and is present if the last one is a join.

    Args:
        broker: The broker to ask for members. No other worker must write to it during the check.
        events: All events of the log, in order.

    Returns:
        The presences.
    """
    present: set[Presence] = set()
    for event in events:
        presence = (event.channel.removeprefix(PRESENCE_PREFIX), json.loads(event.data)["member"])
        assert event.type == (LEAVE if presence in present else JOIN), f"{event.type} of {presence} a second time"
        present ^= {presence}
    assert {(channel, member.member) for channel in CHANNELS for member in broker.members(channel, "", 99)} == present
    return present
