"""Every client gets every event once and in order, whatever happens between any two switches of greenlets."""

from __future__ import annotations

import pytest
from gevent import monkey

from app.flask_simulcast.event import Position
from tests.unit.conftest import MakeWorld
from tests.unit.simulation import World

# Each seed is another order of events, the same in a patched process and in the loop thread of one that is not. So each of the
# two runs has a half of them. 60 of each were run when this was written.
SEEDS = range(5) if monkey.is_module_patched("socket") else range(5, 10)


def check_whole(world: World) -> None:
    """Nothing lost, nothing doubled, nothing out of order, no false alarm."""
    for client in world.clients:
        assert client.gaps == []
        assert client.start is not None
        assert client.positions == world.owed(client, client.start)
        assert client.own == world.owed_alone(client)


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled(make_world: MakeWorld, seed: int, is_far: bool) -> None:
    world = make_world(seed, is_far=is_far)
    world.may_lose = is_far
    world.run(600)
    check_whole(world)


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled_with_small_queues_and_pages(make_world: MakeWorld, seed: int, is_far: bool) -> None:
    world = make_world(seed, is_far=is_far)
    world.may_lose = is_far
    world.queue_bytes = 400  # a few frames
    world.hub._catch_up._pages._page_bytes = 40  # a dozen events
    world.may_fail = True
    world.run(600)
    check_whole(world)


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("ring_events", [0, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled_without_a_ring_that_reaches_back(
    make_world: MakeWorld, seed: int, ring_events: int, is_far: bool
) -> None:
    world = make_world(seed, is_far=is_far, constants={"RING_EVENTS": ring_events})
    world.may_lose = is_far
    world.run(600)
    check_whole(world)


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_trimming_took_is_told(make_world: MakeWorld, seed: int, is_far: bool) -> None:
    world = make_world(seed, is_far=is_far, history_events=3, constants={"RING_EVENTS": 4})
    world.may_lose = is_far
    world.may_age = True
    world.run(500)
    for client in world.clients:
        assert client.start is not None
        got = client.positions
        assert got == sorted(set(got))
        owed = world.owed(client, client.start)
        assert set(got) <= set(owed)
        channel_of = {event.position: event.channel for event in world.log}
        for position in set(owed) - set(got):
            assert any(
                channel_of[position] in gap["channels"] and key_of(gap["from"]) < position.key <= key_of(gap["to"])
                for gap in client.gaps
            ), f"{position} of {channel_of[position]} is missing, and nobody said so: {client.gaps}"
        told = [
            gap for gap in client.gaps if gap["channels"]
        ]  # one that names none is of what was for a connection alone
        assert bool(told) <= bool(set(owed) - set(got)), "a gap where nothing is missing"


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_restored_log_never_had_is_told(make_world: MakeWorld, seed: int, is_far: bool) -> None:
    world = make_world(seed, is_far=is_far)
    world.may_lose = is_far
    world.may_swap = True
    world.run(700)
    for client in world.clients:
        assert client.start is not None
        *_, last = [n for n, (_, gap) in enumerate(client.events) if gap] or [-1]
        after = client.start
        if last >= 0:
            gap = client.events[last][1]
            assert gap is not None
            after = Position(key_of(gap["to"]), 0)
        got = [position for text, _ in client.events[last + 1 :] if text and (position := Position.parse(text))]
        # Before a gap it may have seen what the log has forgotten; after the last one it has what the log has.
        owed = world.owed(client, after)
        assert got[len(got) - len(owed) :] == owed
        assert len(set(got)) == len(got)
        if last >= 0:
            assert got == owed


def key_of(text: str) -> int:
    position = Position.parse(text)
    assert position is not None
    return position.key
