"""Figures in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as text_string_to_open_families
from prometheus_client.parser import text_string_to_metric_families

from app.flask_simulcast.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics
from app.flask_simulcast.ops import figures
from app.flask_simulcast.ops.exposition import exposition
from app.flask_simulcast.ops.figures import of_worker
from app.flask_simulcast.ops.folder import Machine


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


def test_openmetrics_tells_the_same_by_its_own_grammar() -> None:
    metrics = Metrics()
    metrics.count("publish_failed_total", 1, 'odd "code"\\\n')
    machine = Machine(2, 1000.5, of_worker(metrics, {200: 9}, request_errors=3))
    text, content_type = exposition(machine, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    plain = text_string_to_metric_families(exposition(machine)[0].decode())
    assert samples_of(text_string_to_open_families(text.decode())) == samples_of(plain)


def samples_of(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    return {(name, *labels.values()): value for f in families for name, labels, value, *_ in f.samples}
