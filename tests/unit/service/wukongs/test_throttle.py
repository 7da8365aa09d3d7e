"""How often a console is shown a status."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from app.features.wukongs.throttle import Throttle
from app.flask_simulcast import ConnectionClosedError


def status(number: int, state: str = "online") -> dict[str, Any]:
    return {"state": state, "data": number}


def test_without_an_interval_every_status_is_told_at_once() -> None:
    told: list[Any] = []
    pace = Throttle(told.append)
    for number in range(3):
        pace.offer(status(number))
    assert told == [status(0), status(1), status(2)]


def test_the_newest_is_told_when_it_is_time() -> None:
    told: list[Any] = []
    pace = Throttle(told.append)
    pace.set(0.5)
    for number in range(4):
        pace.offer(status(number))
    assert told == [status(0)]
    with gevent.Timeout(10):
        while len(told) < 2:
            gevent.sleep(0.001)
    assert told == [status(0), status(3)]
    pace.stop()


def test_another_state_is_told_at_once() -> None:
    told: list[Any] = []
    pace = Throttle(told.append)
    pace.set(60)
    for one in (status(0), status(1), status(2, "offline"), status(3, "offline"), 7):
        pace.offer(one)
    assert told == [status(0), status(2, "offline"), 7]
    pace.stop()


def test_a_shorter_interval_tells_what_waits_if_it_is_time() -> None:
    told: list[Any] = []
    pace = Throttle(told.append)
    pace.set(60)
    pace.offer(status(0))
    pace.offer(status(1))
    pace.set(0)
    assert told == [status(0), status(1)]


def test_after_stop_nothing_is_told() -> None:
    told: list[Any] = []
    pace = Throttle(told.append)
    pace.set(0.01)
    pace.offer(status(0))
    pace.offer(status(1))
    pace.stop()
    gevent.spawn_later(0.02, told.append, "later than the timer would have rung").join()
    assert told[:1] == [status(0)]
    assert len(told) == 2


def test_a_connection_that_has_ended_is_no_error_of_the_timer(capsys: pytest.CaptureFixture[str]) -> None:
    rung = []

    def tell(_: Any) -> None:
        rung.append(1)
        if len(rung) > 1:
            raise ConnectionClosedError(1006, "")

    pace = Throttle(tell)
    pace.set(0.01)
    pace.offer(status(0))
    pace.offer(status(1))
    with gevent.Timeout(5):
        while len(rung) < 2:
            gevent.sleep(0.001)
    gevent.sleep(0)
    assert not capsys.readouterr().err
