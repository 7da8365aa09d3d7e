"""How greenlets share the loop."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest

from app.flask_simulcast.loop import TimeSlice, let_others_in


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("app.flask_simulcast.loop.time.monotonic", lambda: now[0])
    return now


def test_greenlets_have_one_slice_together_in_the_order_in_which_they_came(now: list[float]) -> None:
    """Ten work for 4 of 10 ms, twice: others get a turn after each third piece of work, not after all ten."""
    worked: list[int] = []
    others: list[int] = []
    slice = TimeSlice(0.010)

    def work(number: int) -> None:
        for _ in range(2):
            slice.wait()
            now[0] += 0.004
            worked.append(number)

    greenlets = [gevent.spawn(work, number) for number in range(10)]
    while not all(greenlet.dead for greenlet in greenlets):
        let_others_in()
        others.append(len(worked))
    assert worked == [*range(10)] * 2
    assert {b - a for a, b in pairwise(others)} <= {0, 1, 2, 3}


def test_greenlet_that_is_killed_in_the_line_keeps_none_waiting(now: list[float]) -> None:
    slice = TimeSlice(0.010)
    killed, next_one = gevent.spawn(slice.wait), gevent.spawn(slice.wait)
    gevent.sleep(0)
    killed.kill(block=False)
    next_one.join(timeout=5)
    assert next_one.dead
