"""Presence while workers are killed and frozen, and pages are reloaded. Watched from the other worker."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

from tests.tools.clients import Block, SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import Fleet, call, connect, listen, token
from tests.tools.serving import Server, wait_until

_LEASE_SECONDS = 8  # the default; ten are promised
_WATCH = ["presence:room.*"]


# Frozen workers are not killed here before they thaw.
workers = fleet_fixture(on=("sqlite", "redis"), app="wsgi:app", presence_channels="room.*", WORKER_TIMEOUT=60)


def enter(stack: ExitStack, server: Server, room: str, user: str) -> SSEClient:
    client = stack.enter_context(listen(server, f"channel=room.{room}", token(user, subscribe=["room.*"]), timeout=30))
    connect(client)
    return client


def watch(stack: ExitStack, server: Server, room: str) -> SSEClient:
    client = stack.enter_context(
        listen(server, f"channel=presence:room.{room}", token("door", subscribe=_WATCH), timeout=30)
    )
    connect(client)
    return client


def present(server: Server, room: str) -> list[str]:
    page = call(server, "GET", f"/channels/room.{room}/presence", headers=token("door", subscribe=_WATCH))
    return [member["member"] for member in page["members"]]


def told(client: SSEClient, count: int) -> list[tuple[str, str]]:
    """Return the next join and leave events."""
    return [named(client.next()) for _ in range(count)]


def named(block: Block | None) -> tuple[str, str]:
    assert block is not None
    return block.type, block.json["member"]


def test_only_the_members_of_a_killed_worker_leave_and_within_its_lease(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = watch(stack, workers.two, "kill")
        for user in ("ann", "bob"):
            enter(stack, workers.one, "kill", user)
        enter(stack, workers.two, "kill", "cyd")
        assert sorted(told(door, 3)) == [("join", "ann"), ("join", "bob"), ("join", "cyd")]
        (pid,) = workers.one.workers
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        assert sorted(told(door, 2)) == [("leave", "ann"), ("leave", "bob")]
        seconds = time.monotonic() - killed
        print(f"\nleft {seconds:.1f} s after the kill")
        assert seconds < 5 * 10  # ten are promised; five times that for a machine that has other things to do
        assert present(workers.two, "kill") == ["cyd"]


def test_a_worker_that_was_frozen_loses_its_members_and_brings_them_back_when_it_thaws(workers: Fleet) -> None:
    (pid,) = wait_until(lambda: workers.one.workers, 10)
    with ExitStack() as stack:
        door = watch(stack, workers.two, "freeze")
        ann = enter(stack, workers.one, "freeze", "ann")
        assert told(door, 1) == [("join", "ann")]
        os.kill(pid, signal.SIGSTOP)
        try:
            assert told(door, 1) == [("leave", "ann")]
        finally:
            os.kill(pid, signal.SIGCONT)
        assert told(door, 1) == [("join", "ann")]
        workers.two.publish("room.freeze", "still here")
        assert ann.until("message").json == "still here"


def test_a_page_that_reloads_does_not_leave_and_three_tabs_are_one_member(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = watch(stack, workers.one, "tabs")
        tabs = [enter(stack, server, "tabs", "ann") for server in (workers.one, workers.two, workers.two)]
        assert told(door, 1) == [("join", "ann")]
        wait_until(lambda: members_of(workers.one, "tabs") == {"ann": 3}, 5)
        tabs.pop().close()
        tabs.append(enter(stack, workers.one, "tabs", "ann"))  # a reload, at another worker
        for tab in tabs:
            tab.close()
        closed = time.monotonic()
        # What comes next is that she left: not a word of the reload, nor of the tabs before the last.
        assert told(door, 1) == [("leave", "ann")]
        assert time.monotonic() - closed > 2, "the grace is three seconds"
        assert present(workers.two, "tabs") == []


def members_of(server: Server, room: str) -> dict[str, int]:
    page = call(server, "GET", f"/channels/room.{room}/presence", headers=token("door", subscribe=_WATCH))
    return {member["member"]: member["listeners"] for member in page["members"]}
