"""Counters are in the table, and histograms count what their bounds say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import flask_simulcast
from app.features.ops.health import ERRORS
from app.flask_simulcast.metrics import BUCKETS, COUNTERS, GAUGES, HISTOGRAMS, Metrics, label_of
from app.flask_simulcast.ops import figures

EXTENSION = Path(flask_simulcast.__file__).parent
NAMES = {row.partition("{")[0] for row in COUNTERS}


def test_every_counter_that_is_counted_is_in_the_table_with_its_label() -> None:
    """A counter that is not in the table would be missing in /metrics silently."""
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


def test_a_snapshot_does_not_change_later() -> None:
    metrics = Metrics()
    counts, gauges, histograms = metrics.counts(), metrics.gauges(), metrics.histograms()
    metrics.count("deliveries_total")
    metrics.set("listeners", 1)
    metrics.observe("publish_seconds", 1)
    assert (counts, gauges["listeners"], histograms["publish_seconds"].sum) == ({}, 0, 0)
