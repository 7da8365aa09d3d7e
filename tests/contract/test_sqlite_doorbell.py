"""The doorbell: frozen and killed neighbours delay no ring."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.base import Clock
from app.flask_simulcast.brokers.sqlite.broker import SQLiteBroker
from app.flask_simulcast.brokers.sqlite.doorbell import Doorbell
from app.flask_simulcast.event import Draft
from app.flask_simulcast.run_state import RunAppend
from app.flask_simulcast.settings import Settings
from tests.contract import processes


def test_a_frozen_neighbour_whose_bell_is_full_does_not_hold_up_a_ring(tmp_path: Path) -> None:
    neighbour, bell = Doorbell(str(tmp_path)), Doorbell(str(tmp_path))
    neighbour.listen()
    began = time.monotonic()
    for _ in range(5000):
        bell.ring()
    assert time.monotonic() - began < 5
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, pytest.raises(BlockingIOError):
        probe.setblocking(False)
        for _ in range(5000):
            probe.sendto(b"!", socket.MSG_DONTWAIT, f"{tmp_path}/{neighbour._names[0]}")
    neighbour.wait(5)
    bell.close()
    neighbour.close()
    assert list(tmp_path.iterdir()) == []


def test_the_bell_of_a_killed_process_is_taken_down(tmp_path: Path) -> None:
    process = processes.start("hang_bell", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    bell = Doorbell(str(tmp_path))
    bell.ring()
    bell.close()
    assert list(tmp_path.iterdir()) == []


def test_a_bell_that_was_hung_up_in_the_same_tick_as_another_is_rung(tmp_path: Path) -> None:
    """A folder's modification time is as coarse as the kernel's tick, 4 ms: two changes can have the same time."""
    first, second, ringer = (Doorbell(str(tmp_path)) for _ in range(3))
    first.listen()
    changed = tmp_path.stat().st_mtime_ns
    ringer.ring()
    second.listen()
    os.utime(tmp_path, ns=(changed, changed))
    ringer.ring()
    began = time.monotonic()
    second.wait(3)
    assert time.monotonic() - began < 2
    for bell in (first, second, ringer):
        bell.close()


# Which channels have grown


@pytest.fixture
def bells(tmp_path: Path) -> Iterator[tuple[Doorbell, Doorbell]]:
    """One that listens, and one that rings."""
    listening, ringing = Doorbell(str(tmp_path)), Doorbell(str(tmp_path))
    listening.listen()
    yield listening, ringing
    listening.close()
    ringing.close()


def test_a_ring_names_the_channels_that_have_grown(bells: tuple[Doorbell, Doorbell]) -> None:
    listening, ringing = bells
    ringing.ring(["a", "b", "a"])
    ringing.ring(["user:Zoë Ż"])
    assert listening.wait(5) == {"a", "b", "user:Zoë Ż"}
    assert listening.wait(0) is None


@pytest.mark.parametrize("channels", [[], ["x" * 128, "y" * 128]])
def test_a_ring_without_names_or_with_too_many_stands_for_all_channels(
    bells: tuple[Doorbell, Doorbell], channels: list[str]
) -> None:
    listening, ringing = bells
    ringing.ring(["a"])
    ringing.ring(channels)
    assert listening.wait(5) is None


def test_a_bell_that_was_full_stands_for_all_channels(bells: tuple[Doorbell, Doorbell]) -> None:
    """What was not taken may have been the only ring for a channel."""
    listening, ringing = bells
    for _ in range(5000):
        ringing.ring(["a"])
    assert listening.wait(5) is None
    ringing.ring(["a"])
    assert listening.wait(5) == {"a"}


def test_a_log_names_the_channels_of_its_events_but_an_ending_is_for_all(tmp_path: Path) -> None:
    """The worker that produces the run may have no listener on it."""
    waiting, changing = (SQLiteBroker(str(tmp_path / "log"), Settings(), Clock()) for _ in range(2))
    waiting.wait(0)
    changing.append([Draft("c", "message", "1")])
    assert waiting.wait(5) == {"c"}
    changing.begin_run("r1234567", "", "{}", "w", 60)
    event = Draft("run:r1234567", "message", "1")
    changing.append_to_runs([RunAppend("r1234567", [event])])
    assert waiting.wait(5) == {"run:r1234567"}
    changing.append_to_runs([RunAppend("r1234567", [event], ending="complete")])
    assert waiting.wait(5) is None
    waiting.close()
    changing.close()


def test_a_log_that_was_read_to_its_head_can_not_have_grown_until_a_neighbour_rings(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    reader, writer = (SQLiteBroker(path, Settings(), Clock()) for _ in range(2))
    position = reader.head()
    reader.read(position)
    assert reader.may_have_grown()  # it does not listen yet
    reader.wait(0)
    assert reader.may_have_grown()  # it did not when it read
    reader.read(position)
    assert not reader.may_have_grown()
    (position,) = writer.append([Draft("a", "message", "1")])
    assert reader.may_have_grown()
    reader.wait(5)
    assert reader.may_have_grown()  # the ring was taken, and nothing was read since
    reader.read(position)
    assert not reader.may_have_grown()
    for broker in (reader, writer):
        broker.close()


def test_neighbours_that_do_not_listen_cost_one_that_does_no_ring(tmp_path: Path) -> None:
    """What they have not read fills the buffer of the socket that has sent it."""
    ringing, listening, *resting = (Doorbell(str(tmp_path)) for _ in range(42))
    for bell in (listening, *resting):
        bell.listen()
    for _ in range(600):
        ringing.ring(["c" * 200])
        assert listening.has_rung
        listening.wait(0)
    for bell in (ringing, listening, *resting):
        bell.close()
