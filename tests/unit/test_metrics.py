"""Counters, and what becomes of them: added up over workers, in Prometheus' text, in the health check."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app import flask_simulcast
from app.features.ops import figures
from app.features.ops.exposition import exposition
from app.features.ops.figures import Figures, added_up, of_worker
from app.features.ops.folder import Machine
from app.features.ops.health import ERRORS, health
from app.flask_simulcast.metrics import BUCKETS, COUNTERS, GAUGES, HISTOGRAMS, Metrics, label_of

EXTENSION = Path(flask_simulcast.__file__).parent
NAMES = {row.partition("{")[0] for row in COUNTERS}

numbers = st.builds(
    Figures,
    counts=st.dictionaries(
        st.sampled_from(["a", "b"]), st.dictionaries(st.sampled_from(["", "x"]), st.integers(0, 1 << 40))
    ),
    gauges=st.fixed_dictionaries({"listeners": st.integers(0, 1 << 20).map(float), "lag_seconds": st.floats(0, 1e6)}),
    histograms=st.dictionaries(
        st.just("h"),
        st.tuples(st.lists(st.integers(0, 1 << 40), min_size=3, max_size=3), st.integers(0, 1 << 40).map(float)),
    ),
)


def test_every_counter_that_is_counted_is_in_the_table_with_its_label() -> None:
    """One that is not would be missing in /metrics without a word."""
    counted = 0
    for file in EXTENSION.rglob("*.py"):
        for call in re.findall(r"\.count\(\s*\"(\w+)\"(.*)", file.read_text()):
            name, rest = call
            assert name in NAMES, f"{file.name} counts {name}"
            assert ("label=" in rest) == bool(label_of(name)), f"{file.name} counts {name} with another label"
            counted += 1
        for name in re.findall(r"\.observe\(\"(\w+)\"", file.read_text()):
            assert name in HISTOGRAMS
        for name in re.findall(r"etrics\.set\(\"(\w+)\"", file.read_text()):
            assert name in GAUGES
    assert counted >= len(NAMES), "the pattern does not find them"
    for name in ERRORS:
        assert name in NAMES | figures.COUNTERS.keys(), name


def test_a_histogram_s_buckets_reach_up_to_and_with_their_bounds() -> None:
    metrics = Metrics()
    for seconds in (0, 0.0005, 0.00050001, 10, 10.1):
        metrics.observe("publish_seconds", seconds)
    counts, total = metrics.histograms()["publish_seconds"]
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (2, 1, 1, 1)
    assert len(counts) == len(BUCKETS) + 1
    assert total == pytest.approx(20.10100001)


def test_what_is_handed_out_does_not_change_any_more() -> None:
    metrics = Metrics()
    counts, gauges, histograms = metrics.counts(), metrics.gauges(), metrics.histograms()
    metrics.count("deliveries_total")
    metrics.set("listeners", 1)
    metrics.observe("publish_seconds", 1)
    assert (counts, gauges["listeners"], histograms["publish_seconds"].sum) == ({}, 0, 0)


@given(numbers, numbers, numbers)
def test_the_order_in_which_workers_end_changes_no_sum(one: Figures, two: Figures, three: Figures) -> None:
    at_once = added_up([], [one, two, three])
    one_by_one = added_up([], [three, added_up([], [two, added_up([], [one])])])
    assert at_once == one_by_one
    living = added_up([one], [two, three])
    assert (living.counts, living.histograms) == (at_once.counts, at_once.histograms)
    assert living.gauges == one.gauges


@given(numbers)
def test_figures_survive_being_written_down(one: Figures) -> None:
    assert msgspec.json.decode(msgspec.json.encode(one), type=Figures) == one


def test_gauges_are_those_of_the_living_listeners_added_up_lag_the_largest() -> None:
    living = [Figures({}, {"listeners": 3.0, "lag_seconds": 0.5}), Figures({}, {"listeners": 4.0, "lag_seconds": 0.1})]
    ended = [Figures({}, {"listeners": 9.0, "lag_seconds": 99.0})]
    assert added_up(living, ended).gauges == {"listeners": 7.0, "lag_seconds": 0.5}


def test_adding_up_leaves_the_parts_as_they_were() -> None:
    one, two = Figures({"a": {"": 1}}, {}, {"h": ([1, 2], 0.5)}), Figures({"a": {"": 2}}, {}, {"h": ([1, 2], 0.5)})
    added_up([one], [two])
    assert (one.counts, one.histograms) == ({"a": {"": 1}}, {"h": ([1, 2], 0.5)})


def test_a_worker_with_other_buckets_spoils_nothing() -> None:
    """Of an older version, while a reload replaces it."""
    row = added_up([Figures({}, {}, {"h": ([1, 2], 0.5)}), Figures({}, {}, {"h": ([1, 2, 3], 0.5)})]).histograms["h"]
    assert row == ([1, 2], 0.5)


def test_what_is_exposed_is_what_was_counted() -> None:
    metrics = Metrics()
    metrics.count("events_published_total", 5)
    metrics.count("listener_closed_total", 2, "stalled")
    metrics.count("publish_failed_total", 1, "publish_uncertain")
    metrics.set("listeners", 7)
    metrics.observe("publish_seconds", 0.002)
    metrics.observe("publish_seconds", 99)
    text, _ = exposition(Machine(2, 1000.5, of_worker(metrics, {200: 9, 429: 4}, request_errors=3)), "")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    samples = {(name, *labels.values()): value for f in families.values() for name, labels, value, *_ in f.samples}
    assert samples["simulcast_events_published_total",] == 5
    assert samples["simulcast_listener_closed_total", "stalled"] == 2
    assert samples["simulcast_listener_closed_total", "client_gone"] == 0, (
        "a series that begins at 1 hides its increase"
    )
    assert samples["simulcast_publish_failed_total", "publish_uncertain"] == 1
    assert samples["simulcast_request_errors_total",] == 3
    assert samples["simulcast_answers_total", "429"] == 4
    assert (samples["simulcast_listeners",], samples["simulcast_workers",]) == (7, 2)
    assert samples["simulcast_start_time_seconds",] == 1000.5
    assert samples["simulcast_publish_seconds_bucket", "0.001"] == 0
    assert samples["simulcast_publish_seconds_bucket", "0.0025"] == 1
    assert samples["simulcast_publish_seconds_bucket", "10.0"] == 1
    assert samples["simulcast_publish_seconds_bucket", "+Inf"] == samples["simulcast_publish_seconds_count",] == 2
    assert samples["simulcast_publish_seconds_sum",] == pytest.approx(99.002)
    for row, help in (COUNTERS | figures.COUNTERS | GAUGES | HISTOGRAMS).items():
        name = row.partition("{")[0].removesuffix("_total")
        assert families[f"simulcast_{name}"].documentation.startswith(help)


def test_health_has_the_names_of_the_seed() -> None:
    metrics = Metrics()
    metrics.set("listeners", 3)
    metrics.count("events_delivered_total", 12)
    for name in ("publish_failed_total", "receiver_errors_total", "broker_lost_total"):
        metrics.count(name, label="x" if label_of(name) else "")
    metrics.count("listeners_refused_total", 9, "listener_limit")  # a limit that holds is no error
    assert health(Machine(2, 1000, of_worker(metrics, {500: 1}, request_errors=1)), now=1060.5) == {
        "status": "ok",
        "activeConnections": 3,
        "totalMessages": 12,
        "errorCount": 4,
        "uptime": 60.5,
        "workers": 2,
    }


def test_a_clock_that_was_set_back_makes_no_negative_uptime() -> None:
    assert health(Machine(1, 1000, Figures()), now=900)["uptime"] == 0
