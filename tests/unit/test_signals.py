"""Each signal is sent with its arguments, the app as its sender; and a receiver that raises does no harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from blinker import Signal
from flask import Flask

from app.flask_simulcast import CloseReason, Event, Listener, Simulcast, signals
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.hub import pump as pump_module
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.run_state import FAILED, RunState
from tests.tools.serving import ROOT
from tests.unit.readers import Reader, publish, settle

# What the docstring of the module promises, and the guide: each signal with its arguments.
PROMISED = {
    "event_published": {"event": Event},
    "listener_added": {"listener": Listener},
    "listener_closed": {"listener": Listener, "reason": CloseReason},
    "listener_removed": {"listener": Listener},
    "listener_lagging": {"listener": Listener},
    "gap_sent": {"listener": Listener, "reason": str},
    "run_started": {"run": RunState},
    "run_ended": {"run": RunState},
    "broker_lost": {"error": BrokerUnavailableError},
    "broker_restored": {},
    "draining": {},
}


class World:
    """An app, its hub, and a record of its signals.

    Attributes:
        heard: Each signal as ``(name, sender, arguments)``, in order.
    """

    def __init__(self, receivers: ExitStack) -> None:
        simulcast = Simulcast()
        self.app = Flask("any")
        self.app.config.update(SIMULCAST_BROKER_URL="memory://", SIMULCAST_PAGE_BYTES=1024)
        simulcast.init_app(self.app)
        with self.app.app_context():
            self.hub: Hub = simulcast.hub
        self.close = lambda: simulcast.close(self.app)
        self.heard: list[tuple[str, object, dict[str, Any]]] = []
        self._receivers = receivers

    def connect(self, name: str, receiver: Callable[..., None], sender: Any = None) -> None:
        """Connect a receiver until the end of the test."""
        signal: Signal = getattr(signals, name)
        self._receivers.enter_context(signal.connected_to(receiver, sender or self.app))

    def hear(self) -> None:
        """Connect to all signals, each with a receiver that raises and one that does not."""
        for name in PROMISED:
            for is_broken in (True, False):
                self.connect(name, self._receiver(name, is_broken=is_broken))

    def _receiver(self, name: str, *, is_broken: bool) -> Callable[..., None]:
        def receive(sender: object, **facts: Any) -> None:
            if is_broken:
                raise RuntimeError(f"on purpose, at {name}")
            self.heard.append((name, sender, facts))

        return receive

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of each send of a signal."""
        return [facts for heard, _, facts in self.heard if heard == name]

    @property
    def errors(self) -> int:
        return self.hub.metrics.value("receiver_errors_total")


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as receivers:
        world = World(receivers)
        yield world
        world.close()


def fail(*_: object) -> None:
    raise BrokerUnavailableError("on purpose")


def test_each_is_sent_with_its_arguments_and_a_receiver_that_raises_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.hear()
    hub = world.hub
    monkeypatch.setattr(pump_module, "_RETRY_SECONDS", 0)
    monkeypatch.setattr(pump_module, "_FREQUENT_SECONDS", 0)  # each read is at once

    reader = Reader(hub, resume="no position")
    settle()
    assert world.of("listener_added") == [{"listener": reader.listener}]
    assert world.of("gap_sent") == [{"listener": reader.listener, "reason": "invalid"}]

    (position,) = publish(hub, 1)
    settle()
    (facts,) = world.of("event_published")
    event = facts["event"]
    assert (str(event.position), event.channel, event.type, event.data) == (position, "c", "message", "1")
    assert reader.data == ["1"], "the stream goes on"

    slow = Reader(hub, queue_bytes=1024)
    settle()
    slow.may_read.clear()
    for number in range(2, 200):
        publish(hub, number)
        settle()
    assert {"listener": slow.listener} in world.of("listener_lagging")
    slow.may_read.set()
    while not slow.listener.is_live:
        settle()
    assert slow.data == [str(number) for number in range(2, 200)]

    with monkeypatch.context() as patch:
        patch.setattr(MemoryBroker, "read", fail)
        publish(hub, "lost")
        while not world.of("broker_lost"):  # a read that follows others closely waits a little
            settle()
    (facts,) = world.of("broker_lost")
    assert isinstance(facts["error"], BrokerUnavailableError)
    while not world.of("broker_restored"):
        settle()
    assert world.of("broker_restored") == [{}]
    settle()
    assert reader.data[-1] == slow.data[-1] == "lost"

    slow.stop()
    assert world.of("listener_closed") == [{"listener": slow.listener, "reason": CloseReason.CLIENT_GONE}]
    assert world.of("listener_removed") == [{"listener": slow.listener}]

    state, run = hub.runner.begin("r", "ann", "{}", 60)
    assert run is not None
    assert world.of("run_started") == [{"run": state}]
    hub.runner.fail(run, "failed", "on purpose")
    assert world.of("run_ended") == [{"run": state._replace(ending=FAILED)}]

    hub.drain()
    assert world.of("draining") == [{}]
    assert world.of("listener_closed")[1:] == [{"listener": reader.listener, "reason": CloseReason.DRAINING}]
    assert not hub.listeners

    for name, sender, facts in world.heard:
        assert sender is world.app, name
        assert {key: type(value) for key, value in facts.items()} == PROMISED[name], name
    assert {name for name, _, _ in world.heard} == PROMISED.keys()
    assert world.errors == len(world.heard), "one receiver raised each time, and each was counted"
    reader.stop()


def test_listeners_are_there_when_they_are_told_of_and_gone_when_they_are_not(world: World) -> None:
    seen: list[tuple[str, bool]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda app, listener, **_: seen.append((name, listener in world.hub.listeners))

    receivers = {name: note(name) for name in ("listener_added", "listener_closed", "listener_removed")}
    for name, receiver in receivers.items():
        world.connect(name, receiver)
    Reader(world.hub).stop()
    assert seen == [("listener_added", True), ("listener_closed", False), ("listener_removed", False)]


def test_one_who_is_turned_away_was_never_there(world: World) -> None:
    world.hear()
    world.hub.drain()
    with pytest.raises(Exception, match="about to stop"):
        Reader(world.hub)
    assert not world.of("listener_added")
    assert not world.of("listener_removed")


def test_what_the_log_did_not_take_was_not_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.hear()
    monkeypatch.setattr(MemoryBroker, "append", fail)
    with pytest.raises(BrokerUnavailableError):
        publish(world.hub, 1)
    assert not world.of("event_published")


def test_a_receiver_may_publish_itself_and_take_its_time(world: World) -> None:
    """`listener_added` that greets, and that switches: the hub must be whole at each of them."""

    def greet(app: Flask, listener: Listener) -> None:
        gevent.sleep(0)
        publish(world.hub, "hello")
        gevent.sleep(0)

    world.connect("listener_added", greet)
    readers = [Reader(world.hub) for _ in range(5)]
    settle()
    for number, reader in enumerate(readers):
        assert reader.data == ["hello"] * (5 - number)
        reader.stop()


def test_apps_do_not_hear_of_each_other(world: World) -> None:
    with ExitStack() as receivers:
        other = World(receivers)
        other.hear()
        publish(world.hub, 1)
        Reader(world.hub).stop()
        assert other.heard == []
        other.close()


def test_the_docstring_and_the_guide_name_each_with_its_arguments() -> None:
    assert signals.__doc__ is not None
    guide = (ROOT / "docs" / "guide.md").read_text()
    for name, arguments in PROMISED.items():
        written = re.search(rf"``{name}\((.*)\)``", signals.__doc__)
        assert written is not None, name
        assert re.findall(r"(\w+)=", written[1]) == list(arguments), name
        row = re.search(rf"^\| `{name}` \| (.*?) \|", guide, re.MULTILINE)
        assert row is not None, name
        assert re.findall(r"`(\w+)`", row[1]) == list(arguments), name
    sent = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    assert sent == PROMISED.keys()
