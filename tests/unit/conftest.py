"""Nothing survives a unit test: no greenlet, and no listener of any hub."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from weakref import WeakSet

import gevent
import pytest

from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.hub import broadcaster
from app.flask_simulcast.hub import hub as hub_module
from app.flask_simulcast.hub.drain import drains_of_this_process
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock
from tests.unit.far_broker import FarBroker
from tests.unit.simulation import World

_spawned: WeakSet[gevent.Greenlet] = WeakSet()  # a walk over all objects, after each test, takes ten times as long
gevent.Greenlet.add_spawn_callback(_spawned.add)

Constants = Mapping[str, object]  # of the hub's module
NONE: Constants = {}
MakeHub = Callable[..., Hub]
MakeWorld = Callable[..., World]


@pytest.fixture(autouse=True)
def nothing_survives() -> Iterator[None]:
    yield
    let_others_in()
    assert not [drain for drain in drains_of_this_process() if drain.listeners.all]
    if running():
        gc.collect()  # an unreferenced greenlet is not running
    assert not running()


@pytest.fixture(autouse=True)
def no_pause_behind_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over a few listeners takes long only if the machine is busy."""
    monkeypatch.setattr(broadcaster, "_PAUSE_AFTER_SECONDS", math.inf)


def running() -> list[object]:
    return [greenlet for greenlet in _spawned if not greenlet.dead]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_hub(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHub]:
    """Hubs on a memory log, closed at the end with their listeners. ``is_far``: one whose reads switch."""
    hubs = []

    def make(*, is_far: bool = False, constants: Constants = NONE, **settings: object) -> Hub:
        for name, value in constants.items():
            monkeypatch.setattr(hub_module, name, value)
        checked = Settings(broker_url="memory://", **settings)  # type: ignore[arg-type]
        broker = FarBroker(checked, clock, let_others_in) if is_far else MemoryBroker(checked, clock)
        hub = Hub(broker, checked, Metrics(), sender=None)
        hubs.append(hub)
        return hub

    yield make
    for hub in hubs:
        for listener in list(hub.listeners):
            hub.remove_listener(listener)
        hub.close()


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    """Hubs whose switches of greenlets are decided by dice, or by the test: quiet ones."""
    worlds = []

    def make(seed: int = 0, *, is_quiet: bool = False, constants: Constants = NONE, **settings: object) -> World:
        for name, value in constants.items():
            monkeypatch.setattr(hub_module, name, value)
        world = World(monkeypatch, seed, **settings)
        world.is_quiet = is_quiet
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.end()
