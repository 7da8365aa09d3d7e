"""Work in child processes, patched or not: the loop goes on meanwhile, and a folder that is removed stops the child."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.work.piece import WorkError
from app.work.pool import Order, Pool

SECONDS = 0.2


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def order(pool: Pool, folder: Path, size: int) -> Order:
    return pool.order(folder.name, str(folder), "checksum", {"algorithm": "sha256", "bytes": size})


def test_other_greenlets_and_threads_go_on_while_one_waits_for_a_result(pool: Pool, tmp_path: Path) -> None:
    """A wait that blocked the loop would stop all streams of a worker."""
    ticks, is_done = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not is_done.wait(0.01):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    ordered = order(pool, tmp_path, 200_000_000)
    result = ordered.result()
    during = ticks
    is_done.set()
    thread.join()
    assert result["digest"] == hashlib.sha256(bytes(range(256)) * 781_250).hexdigest()
    assert during > 5


def test_updates_come_in_order_and_a_silence_is_told(pool: Pool, tmp_path: Path) -> None:
    updates = list(order(pool, tmp_path, 500_000_000).updates(0.001))
    percents = [update.percent for update in updates if update is not None]
    assert percents == sorted(set(percents)) != []
    assert None in updates


def test_removed_folder_stops_the_child(pool: Pool, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    ordered = order(pool, folder, 1 << 40)
    assert next(update for update in ordered.updates(SECONDS) if update is not None).percent == 0
    shutil.rmtree(folder)
    began = time.monotonic()
    with pytest.raises(WorkError, match="stopped") as raised:
        ordered.result()
    assert raised.value.code == "stopped"
    assert time.monotonic() - began < 2
