"""Acknowledged is stored, and a listener that resumes gets each event once, in order, whoever dies."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

from tests.faults.history import Chain, Publisher, judge
from tests.serving import serve

EVENTS = 100_000
KILLS = 16
PERIOD_SECONDS = 0.5
LISTENERS = 3


def test_nothing_is_lost_doubled_or_disordered_while_workers_are_killed(tmp_path: Path) -> None:
    chance = random.Random(7)
    with serve(tmp_path, workers=2, history_events=2 * EVENTS) as server:
        chains = [Chain() for _ in range(LISTENERS)]
        is_over = threading.Event()
        deadline = time.monotonic() + 90

        def has_all(chain: Chain) -> bool:
            return bool(chain.numbers) and chain.numbers[-1] == EVENTS - 1

        threads = [
            threading.Thread(
                target=chain.resume, args=(server.port, "/api/v1/stream?channel=kill", has_all, deadline), daemon=True
            )
            for chain in chains
        ]
        for thread in threads:
            thread.start()
        while not all(chain.last_id for chain in chains):  # all have been told where they start
            assert not is_over.wait(0.01)
            assert time.monotonic() < deadline
        publisher = Publisher(
            [server.port], "kill", rate=round(EVENTS / KILLS / PERIOD_SECONDS), batch=100, total=EVENTS
        )
        publisher.start()
        killed: list[int] = []
        while len(killed) < KILLS:
            is_over.wait(PERIOD_SECONDS)
            if alive := [pid for pid in server.workers if pid not in killed]:
                killed.append(chance.choice(alive))
                os.kill(killed[-1], signal.SIGKILL)
        publisher.join(60)
        for thread in threads:
            thread.join(60)
        assert publisher.published == EVENTS
    for chain in chains:
        assert not chain.gaps
        assert judge(chain.numbers, 0, EVENTS - 1) == judge([0], 0, 0), (chain.connects, len(chain.numbers))
    assert sum(chain.connects for chain in chains) > LISTENERS
