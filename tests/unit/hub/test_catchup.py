"""From where a listener stands to where its audience stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.event import Draft, Event, Position
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.testing import read_sse
from tests.unit.conftest import MakeHub, MakeWorld
from tests.unit.far_broker import FarBroker, SwappedBroker
from tests.unit.moves import read_on, scatter, step
from tests.unit.simulation import World


def drafts(*data: object, channel: str = "c") -> list[Draft]:
    return [Draft(channel, "message", str(each)) for each in data]


def data_of(text: bytes) -> list[str]:
    return [event.data for event in read_sse(text) if event.type == "message"]


def read_until_live(hub: Hub, listener: Listener, steps: int = 50) -> bytes:
    text = b""
    for _ in range(steps):
        if listener.is_live:
            return text
        text += step(hub, listener)
    raise AssertionError(f"not live after {steps} steps")


@pytest.mark.parametrize("channel", ["c", "other"])
def test_a_listener_goes_live_however_much_is_published(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    """Live is what makes a delivery cheap. A page, then a look whether something came meanwhile, would never end under load."""
    hub = make_hub()
    listener = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(listener)
    monkeypatch.setattr(hub._catch_up._slice, "wait", lambda: hub.publish(drafts(1, channel=channel)))
    read_until_live(hub, listener)


def test_a_view_that_raises_costs_one_event_in_history_as_it_does_live(make_hub: MakeHub) -> None:
    """A client that comes back with the same id each time would never get past it."""

    def fails_at_two(event: Event) -> Event | None:
        if event.data == "2":
            raise ValueError("on purpose")
        return event

    hub = make_hub()
    start = hub.broker.head()
    hub.publish(drafts(1, 2, 3))
    listener = Listener(ListenRequest(("c",), SSE, resume=str(start), view=fails_at_two))
    hub.add_listener(listener)
    assert data_of(read_until_live(hub, listener)) == ["1", "3"]
    assert hub.metrics.value("receiver_errors_total") == 1


def test_a_view_that_makes_what_can_not_be_written_costs_one_event_too(make_hub: MakeHub) -> None:
    def forges_at_two(event: Event) -> Event:
        return Event(event.position, "c", "message\ndata: forged" if event.data == "2" else "message", event.data)

    hub = make_hub()
    start = hub.broker.head()
    hub.publish(drafts(1, 2, 3))
    listener = Listener(ListenRequest(("c",), SSE, resume=str(start), view=forges_at_two))
    hub.add_listener(listener)
    assert data_of(read_until_live(hub, listener)) == ["1", "3"]
    assert hub.metrics.value("receiver_errors_total") == 1


def test_a_herd_reads_its_page_once(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.flask_simulcast.hub.pages.SHARED_SECONDS", 60)  # a busy machine may take longer than one
    hub = make_hub(constants={"RING_EVENTS": 0, "PAGE_BYTES": 1024})
    start = hub.broker.head()
    hub.publish(drafts(*range(1000)))
    herd = [Listener(ListenRequest(("c",), SSE, resume=str(start))) for _ in range(20)]
    for listener in herd:
        hub.add_listener(listener)
    calls = []
    page = hub.broker.page
    monkeypatch.setattr(hub.broker, "page", lambda *arguments: calls.append(arguments) or page(*arguments))
    texts = [read_until_live(hub, listener) for listener in herd]
    assert data_of(texts[0]) == [str(n) for n in range(1000)]
    assert set(texts) == {texts[0]}
    shared = [arguments for arguments in calls if "c" in arguments[0]]  # the others ask for what is for one alone
    assert len(shared) == len(set(shared)) <= 4


def test_listeners_from_different_places_share_pages(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A herd that lost touch at different moments would read 10 000 events for each of its listeners."""
    monkeypatch.setattr("app.flask_simulcast.hub.pages.SHARED_SECONDS", 60)  # a busy machine may take longer than one
    hub = make_hub(constants={"RING_EVENTS": 0, "PAGE_BYTES": 1024})
    starts = [event.position for event in hub.publish(drafts(*range(1000)))]
    calls = []
    page = hub.broker.page
    monkeypatch.setattr(hub.broker, "page", lambda *arguments: calls.append(arguments) or page(*arguments))
    for missed in (900, 899, 500, 123, 899):
        listener = Listener(ListenRequest(("c",), SSE, resume=str(starts[-missed - 1])))
        hub.add_listener(listener)
        assert data_of(read_until_live(hub, listener)) == [str(n) for n in range(1000 - missed, 1000)]
    shared = [arguments for arguments in calls if "c" in arguments[0]]  # the others ask for what is for one alone
    assert len(shared) == len(set(shared)) <= 4


def test_a_page_of_a_log_that_was_replaced_is_not_shared(make_world: MakeWorld) -> None:
    world = make_world(is_quiet=True, constants={"RING_EVENTS": 0})
    hub, broker = world.hub, world.broker
    start = broker.append(drafts(0))[0]
    backup = broker.copy()
    broker.append(drafts("old"))
    old = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(old)
    assert data_of(read_until_live(hub, old)) == ["old"]
    hub.remove_listener(old)
    broker.restore(backup)
    world.clock.advance(1)
    broker.append(drafts("new"))
    new = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(new)
    assert data_of(read_until_live(hub, new)) == ["new"]
    hub.remove_listener(new)


@pytest.mark.parametrize("is_full", [False, True])
def test_a_full_page_of_a_log_that_was_replaced_is_not_shared(make_world: MakeWorld, is_full: bool) -> None:
    world = make_world(is_quiet=True, constants={"RING_EVENTS": 0})
    hub, broker = world.hub, world.broker
    hub._catch_up._pages._page_bytes = 5
    start = broker.append(drafts(0))[0]
    backup = broker.copy()
    broker.append(drafts("old", "older"))
    old = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(old)
    read_until_live(hub, old)
    broker.restore(backup)
    broker.append(drafts("new", "newer") if is_full else drafts("new"))
    assert data_of(read_until_live_again(hub, old)) == []  # it has a gap, and is at the old head
    hub.remove_listener(old)
    new = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(new)
    assert data_of(read_until_live(hub, new)) == (["new", "newer"] if is_full else ["new"])
    hub.remove_listener(new)


def read_until_live_again(hub: Hub, listener: Listener) -> bytes:
    read_on(hub)
    assert not listener.is_live
    return read_until_live(hub, listener)


def test_one_that_is_told_to_start_later_than_it_resumes_is_only_after_a_gap(make_hub: MakeHub) -> None:
    hub = make_hub()
    positions = [event.position for event in hub.publish(drafts(1, 2, 3))]
    whole = Listener(ListenRequest(("c",), SSE, resume=str(positions[0]), start=positions[2]))
    assert read_sse(hub.add_listener(whole))[0].id == str(positions[0])
    assert data_of(read_until_live(hub, whole)) == ["2", "3"]
    for resume in ("", "x" * 500, "1-1-00000000", str(Position(positions[2].key + 1, 0))):
        listener = Listener(ListenRequest(("c",), SSE, resume=resume, start=positions[2]))
        gap, connected = read_sse(hub.add_listener(listener))
        assert (gap.type, gap.id, connected.id) == ("gap", "", str(positions[2]))
        assert len(gap.data) < 300


def test_a_log_that_is_replaced_by_a_newer_one_gives_its_readers_a_verdict(make_world: MakeWorld) -> None:
    world = make_world(is_quiet=True)
    hub, broker = world.hub, world.broker
    listener = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(listener)
    read_until_live(hub, listener)
    world.clock.advance(5)
    fresh = SwappedBroker(hub.settings, world.clock)
    broker.restore(fresh.log)
    broker.append(drafts("new"))
    read_on(hub)
    text = read_until_live(hub, listener)
    assert [(event.type, event.data[:16]) for event in read_sse(text)] == [
        ("gap", '{"reason":"lost"'),
        ("message", "new"),
    ]
    hub.remove_listener(listener)


# Where reads switch: what happens meanwhile


class Meanwhile:
    """What others do during the next read, once, before it is asked or after; other reads don't switch."""

    def __init__(self, world: World, act: Callable[[], object], *, is_before: bool = False) -> None:
        assert isinstance(world.broker, FarBroker)
        self._turns = 1 if is_before else 2
        self._act = act
        world.broker.switch = self

    def __call__(self) -> None:
        self._turns -= 1
        if not self._turns:
            self._act()


def replace(world: World, backup: MemoryBroker) -> None:
    """Another log comes back, and the pump finds it out."""
    world.broker.restore(backup)
    world.clock.advance(1)
    world.broker.append(drafts("new", "newer"))
    world.read_on()


@pytest.mark.parametrize("is_before", [False, True])
def test_a_page_that_was_read_while_the_log_was_replaced_is_not_used(make_world: MakeWorld, is_before: bool) -> None:
    """It would stand in the new log then, as if it had never missed anything."""
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    start = broker.append(drafts(0))[0]
    backup = broker.copy()
    lost = broker.append(drafts("lost", "lost, too"))
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))  # the pump begins at their end
    listener, later = (Listener(ListenRequest(("c",), SSE, resume=str(at))) for at in (lost[0], start))
    hub.add_listener(listener)
    Meanwhile(world, lambda: replace(world, backup), is_before=is_before)
    assert step(hub, listener) == b""
    assert (listener.position, listener.needs_verdict) == (lost[0], True)
    text = read_until_live(hub, listener)
    assert read_sse(text)[0].data.startswith('{"reason":"forked"')
    assert data_of(text) == ["new", "newer"]
    hub.add_listener(later)
    assert data_of(read_until_live(hub, later)) == ["new", "newer"], "what was read of the old log is not shared"


def test_a_listener_that_comes_after_the_log_was_replaced_does_not_wait_for_a_read_of_the_old_log(
    make_world: MakeWorld,
) -> None:
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    start = broker.append(drafts(0))[0]
    backup = broker.copy()
    broker.append(drafts("lost"))
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))
    early, late = (Listener(ListenRequest(("c",), SSE, resume=str(start))) for _ in range(2))
    hub.add_listener(early)
    texts = []

    def meanwhile() -> None:
        replace(world, backup)
        hub.add_listener(late)
        texts.append(read_until_live(hub, late))

    Meanwhile(world, meanwhile)
    assert step(hub, early) == b""
    texts.append(read_until_live(hub, early))
    assert [data_of(text) for text in texts] == [["new", "newer"]] * 2


def test_a_page_of_a_log_that_was_not_judged_yet_is_not_used(make_world: MakeWorld) -> None:
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    broker.append(drafts(0))
    backup = broker.copy()
    lost = broker.append(drafts("lost", "lost, too"))
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))
    listener = Listener(ListenRequest(("c",), SSE, resume=str(lost[0])))
    hub.add_listener(listener)
    Meanwhile(world, lambda: broker.restore(backup), is_before=True)
    for _ in range(3):
        assert step(hub, listener) == b""
    assert listener.position == lost[0]
    world.clock.advance(1)
    broker.append(drafts("new"))
    world.read_on()
    text = read_until_live(hub, listener)
    assert [event.type for event in read_sse(text)] == ["gap", "message"]


def test_a_verdict_that_was_asked_while_the_log_went_on_is_asked_again(make_world: MakeWorld) -> None:
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    backup = broker.copy()
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))
    listener = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(listener)
    broker.append(drafts("lost"))
    world.read_on()
    lost = read_until_live(hub, listener)
    assert data_of(lost) == ["lost"]
    scatter(hub)
    Meanwhile(world, lambda: replace(world, backup))
    assert step(hub, listener) == b""
    assert listener.needs_verdict
    text = read_until_live(hub, listener)
    assert read_sse(text)[0].data.startswith('{"reason":"forked"')


def test_a_verdict_that_fails_is_still_owed(make_world: MakeWorld) -> None:
    world = make_world(is_far=True, is_quiet=True)
    broker, hub = world.broker, world.hub
    assert isinstance(broker, FarBroker)
    listener = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(listener)
    scatter(hub)
    broker.fails = 1
    with pytest.raises(BrokerUnavailableError):
        step(hub, listener)
    assert listener.needs_verdict
    read_until_live(hub, listener)


def test_what_is_for_it_alone_in_a_log_that_begins_again_from_before_is_found(make_world: MakeWorld) -> None:
    """Its own channel is looked at from where the hub stood when it came: in a restored log that may be later."""
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    backup = broker.copy()
    world.clock.advance(5)
    broker.append(drafts(0))
    listener = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(listener)
    read_until_live(hub, listener)
    world.clock.advance(-4)
    broker.restore(backup)
    world.read_on()
    assert read_sse(step(hub, listener))[0].data.startswith('{"reason":"lost"')
    broker.append(drafts("for it", channel=f"listener:{listener.id}"))
    world.read_on()
    assert data_of(read_until_live(hub, listener)) == ["for it"]


def test_a_fresh_listener_costs_no_look_for_what_is_for_it_alone(make_world: MakeWorld) -> None:
    world = make_world(is_far=True, is_quiet=True)
    broker, hub = world.broker, world.hub
    assert isinstance(broker, FarBroker)
    start = broker.append(drafts(0, 1))[0]
    hub.add_listener(Listener(ListenRequest(("other",), SSE)))
    listener = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(listener)
    assert data_of(read_until_live(hub, listener)) == ["1"]
    assert (broker.asked["page"], broker.asked["verdict"]) == (1, 1)


def test_the_goal_is_looked_at_again_after_a_read(make_world: MakeWorld) -> None:
    """An event comes while the last page is read: who joined where the goal was would not get it."""
    world = make_world(is_far=True, is_quiet=True)
    hub, broker = world.hub, world.broker
    start = broker.append(drafts(0, 1))[0]
    resident = Listener(ListenRequest(("c",), SSE))
    hub.add_listener(resident)
    read_until_live(hub, resident)
    listener = Listener(ListenRequest(("c",), SSE, resume=str(start)))
    hub.add_listener(listener)

    def one_more() -> None:
        broker.append(drafts(2))
        world.read_on()
        world.make_pass()

    Meanwhile(world, one_more)
    text = step(hub, listener)
    assert data_of(text) == ["1"] and not listener.is_live
    assert data_of(text + read_until_live(hub, listener)) == ["1", "2"]
    assert isinstance(broker, FarBroker) and broker.asked["page"] == 1, "the rest is from memory"
