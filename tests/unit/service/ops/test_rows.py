"""Rows of the operators: rates and latencies between two looks."""

from __future__ import annotations

from app.features.ops.rows import row
from app.flask_simulcast.ops import BUCKETS, Figures
from app.looks import Look


def look(time_ms: int, published: int, buckets: dict[int, int], wall_ms: int | None = None) -> Look:
    counts = [buckets.get(place, 0) for place in range(len(BUCKETS) + 1)]
    figures = Figures(
        {"events_published_total": {"": published}, "listener_closed_total": {"kicked": 2}},
        {"listeners": 3.0},
        {"publish_seconds": (counts, 0.0)},
    )
    return Look(time_ms if wall_ms is None else wall_ms, time_ms / 1000, 0, 0, 1, 0, 0, figures, 2)


def test_row_has_the_rate_and_the_latencies_of_its_time_alone() -> None:
    made = row(look(0, 10, {9: 1000}), look(5000, 110, {0: 50, 1: 49, 4: 1, 9: 1000}))
    assert made["published_per_second"] == 20.0
    assert made["publish_ms"] == {"p50": 1000 * BUCKETS[0], "p99": 1000 * BUCKETS[1]}
    assert made["delivery_ms"] is None
    assert (made["workers"], made["listeners"], made["closed"]) == (2, 3, {"kicked": 2})


def test_values_beyond_the_last_bucket_and_counters_that_fall_are_no_error() -> None:
    made = row(look(0, 10, {0: 5}), look(5000, 0, {len(BUCKETS): 1}))
    assert made["published_per_second"] == 0.0
    assert made["publish_ms"] == {"p50": 2000 * BUCKETS[-1], "p99": 2000 * BUCKETS[-1]}


def test_wall_clock_that_was_set_back_by_an_hour_changes_no_rate() -> None:
    made = row(look(0, 10, {}, wall_ms=3_600_000), look(5000, 110, {}, wall_ms=5000))
    assert (made["published_per_second"], made["time"]) == (20.0, 5000)
