"""Samples: what two looks at a machine make of it."""

from __future__ import annotations

from app.features.monitor.samples import Look, metrics, system_status
from app.flask_simulcast.ops import Figures


def look(
    *, time_ms: int = 0, wall_ms: int = 0, busy: float = 0, total: float = 0, published: int = 0, **answers: int
) -> Look:
    counts = {
        "answers_total": {status.removeprefix("s"): number for status, number in answers.items()},
        "events_published_total": {"": published},
    }
    return Look(time_ms + wall_ms, time_ms / 1000, busy, total, 7, 300, 700, Figures(counts, {"listeners": 3.0}), 1)


def test_load_is_the_share_of_all_cores_between_two_looks() -> None:
    before, now = look(busy=10, total=100), look(time_ms=2000, busy=11, total=104)
    assert metrics(before, now)["cpu"]["usage"] == 25.0
    assert system_status(before, now) == {
        "host": metrics(before, now)["host"], "cpu": 25.0, "memory": 300, "time": 2000,
    }  # fmt: skip


def test_two_looks_at_one_moment_have_no_load_and_no_rate() -> None:
    sample = metrics(look(time_ms=5, busy=1, total=9), look(time_ms=5, busy=1, total=9, published=4))
    assert (sample["cpu"]["usage"], sample["events_per_second"]) == (0.0, 0.0)


def test_counters_of_the_kernel_that_fall_are_no_negative_load() -> None:
    assert metrics(look(busy=10, total=100), look(busy=9, total=104))["cpu"]["usage"] == 0.0


def test_refused_and_broken_requests_failed_and_all_others_succeeded() -> None:
    answers = {"s200": 5, "s204": 1, "s101": 2, "s304": 1, "s404": 3, "s500": 1}
    assert metrics(look(), look(**answers))["requests"] == {"total": 13, "success": 9, "failed": 4}


def test_rate_is_of_the_time_between_and_no_restart_makes_it_negative() -> None:
    assert metrics(look(published=10), look(time_ms=2000, published=27))["events_per_second"] == 8.5
    assert metrics(look(published=10), look(time_ms=2000, published=0))["events_per_second"] == 0.0


def test_wall_clock_that_jumps_by_an_hour_changes_no_rate() -> None:
    for wall_ms in (-3_600_000, 3_600_000):
        assert (
            metrics(look(published=10), look(time_ms=2000, wall_ms=wall_ms, published=27))["events_per_second"] == 8.5
        )
