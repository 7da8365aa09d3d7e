"""What is sent to one listener, to one user, to all: in order with the rest, and without a chunk of their own for the others."""

from __future__ import annotations

import pytest

from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.event import ALL, Event
from app.flask_simulcast.grant import Grant
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from tests.unit.conftest import MakeHub, MakeWorld
from tests.unit.moves import step
from tests.unit.readers import Reader, publish, settle


def test_one_listener_alone_gets_it_in_its_place_among_the_others(make_hub: MakeHub) -> None:
    hub = make_hub()
    one, other = Reader(hub), Reader(hub)
    settle()
    publish(hub, 1)
    publish(hub, 2, channel=f"listener:{one.listener.id}")
    publish(hub, 3)
    settle()
    assert (one.data, other.data) == (["1", "2", "3"], ["1", "3"])
    one.stop()
    other.stop()


def test_it_does_not_break_the_shared_chunk_of_the_rest(make_world: MakeWorld) -> None:
    world = make_world(is_quiet=True)
    listeners = [Listener(ListenRequest(("c",), SSE)) for _ in range(50)]
    for listener in listeners:
        world.hub.add_listener(listener)
        step(world.hub, listener)
    publish(world.hub, 1)
    publish(world.hub, 2, channel=f"listener:{listeners[0].id}")
    publish(world.hub, 3)
    world.make_pass()
    chunks = [listener.take(1 << 20) for listener in listeners]
    assert len({id(chunk) for chunk in chunks[1:]}) == 1
    assert [chunks[0].count(b"\ndata: "), chunks[1].count(b"\ndata: ")] == [3, 2]
    assert len(world.hub._switchboard.audiences) == 1


def test_with_nothing_shared_pending_the_others_are_not_visited(make_world: MakeWorld) -> None:
    world = make_world(is_quiet=True)
    listeners = [Listener(ListenRequest(("c",), SSE)) for _ in range(50)]
    for listener in listeners:
        world.hub.add_listener(listener)
        step(world.hub, listener)
    publish(world.hub, 1, channel=f"listener:{listeners[7].id}")
    world.make_pass()
    assert world.hub.metrics.value("deliveries_total") == 1
    assert world.hub._switchboard.goal(listeners[3]) == world.broker.head()


def test_only_the_listeners_of_a_user_get_it_and_all_of_them(make_hub: MakeHub) -> None:
    hub = make_hub()
    ann = [Reader(hub, channel, grant=Grant(user="ann")) for channel in ("a", "b")]
    bob, nobody = Reader(hub, "a", grant=Grant(user="bob")), Reader(hub, "a")
    settle()
    publish(hub, 1, channel="user:ann")
    settle()
    assert [reader.data for reader in (*ann, bob, nobody)] == [["1"], ["1"], [], []]
    for reader in (*ann, bob, nobody):
        reader.stop()


def test_a_user_who_comes_back_gets_what_was_sent_meanwhile(make_hub: MakeHub) -> None:
    hub = make_hub()
    before = str(hub.broker.head())
    publish(hub, 1)
    publish(hub, 2, channel="user:ann")
    publish(hub, 3, channel="user:bob")
    publish(hub, 4, channel=ALL)
    reader = Reader(hub, resume=before, grant=Grant(user="ann"))
    settle()
    assert reader.data == ["1", "2", "4"]
    reader.stop()


def test_broadcasts_reach_every_listener_whatever_it_listens_to(make_hub: MakeHub) -> None:
    hub = make_hub()
    readers = [Reader(hub, "a"), Reader(hub, "b", "c"), Reader(hub, ALL)]
    settle()
    publish(hub, 1, channel=ALL)
    settle()
    assert [reader.data for reader in readers] == [["1"]] * 3
    for reader in readers:
        reader.stop()


def test_one_who_names_a_users_channel_gets_it_once(make_hub: MakeHub) -> None:
    hub = make_hub()
    reader = Reader(hub, "user:ann", grant=Grant(user="ann"))
    settle()
    publish(hub, 1, channel="user:ann")
    settle()
    assert reader.data == ["1"]
    reader.stop()


def test_a_view_narrows_what_is_personal_too_and_one_that_raises_costs_one_event(make_hub: MakeHub) -> None:
    def view(event: Event) -> Event | None:
        if event.data == "2":
            raise ValueError("on purpose")
        return None if event.data == "3" else event

    hub = make_hub()
    reader = Reader(hub, view=view)
    settle()
    publish(hub, 1, 2, 3, 4, channel=f"listener:{reader.listener.id}")
    settle()
    assert reader.data == ["1", "4"]
    assert hub.metrics.value("receiver_errors_total") == 1
    reader.stop()


def test_a_new_connection_of_a_user_does_not_join_behind_what_only_the_old_one_was_handed(
    make_world: MakeWorld,
) -> None:
    """It lies between where the audience stands and the hub: a new member at the audience's position would never get it."""
    world = make_world(is_quiet=True)
    world._depth = 99  # no other greenlet runs
    old, new = (Listener(ListenRequest(("c",), SSE, grant=Grant(user="ann"))) for _ in range(2))
    world.hub.add_listener(old)
    step(world.hub, old)
    resume = str(world.broker.head())
    publish(world.hub, 1, channel="user:ann")
    new.resume = resume
    world.hub.add_listener(new)
    got = step(world.hub, new)
    assert not new.is_live
    world.make_pass()
    got += step(world.hub, new)
    assert new.is_live
    assert got.count(b"\ndata: 1\n") == 1


@pytest.mark.parametrize("events", [0, 5])
def test_events_of_personal_channels_count_for_no_absent_listener(make_hub: MakeHub, events: int) -> None:
    hub = make_hub()
    reader = Reader(hub)
    settle()
    publish(hub, *range(events), channel="user:somebody-else")
    settle()
    assert (reader.data, hub.metrics.value("personal_total")) == ([], 0)
    reader.stop()


def test_an_event_that_no_listener_wants_is_counted(make_hub: MakeHub) -> None:
    hub = make_hub()
    reader = Reader(hub, "a")
    settle()
    publish(hub, 1, 2, channel="b")
    publish(hub, 3, channel="a")
    settle()
    assert (reader.data, hub.metrics.value("events_unheard_total")) == (["3"], 2)
    reader.stop()
