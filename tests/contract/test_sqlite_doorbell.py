"""The doorbell: frozen and killed neighbours delay no ring."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.doorbell import Doorbell
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
