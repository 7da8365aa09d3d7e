"""Exposition: the figures of a machine in the text that Prometheus reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ...flask_simulcast import CloseReason, __version__
from ...flask_simulcast import metrics as extension
from . import figures
from .folder import Machine

_PREFIX = "simulcast_"
_LARGEST = "The largest of all workers."
# A series that begins at 1 hides its first increase. Codes of errors are too many to begin with.
_FROM_THE_START = {
    "listener_closed_total": tuple(reason.value for reason in CloseReason),
    "gaps_total": ("invalid", "trimmed", "lost", "forked"),
}


def exposition(machine: Machine, accept: str) -> tuple[bytes, str]:
    """Return all metrics as text, and its content type.

    Args:
        accept: The header ``Accept`` of the reader: for Prometheus' own text, or OpenMetrics.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Machine(machine)), content_type


class _Machine(Collector):
    """The metrics of a machine, as prometheus-client reads them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def collect(self) -> Iterator[Metric]:
        workers, began, numbers = self._machine
        yield _build_info()
        yield GaugeMetricFamily(_PREFIX + "workers", "Workers of this machine that are alive.", value=workers)
        yield GaugeMetricFamily(
            _PREFIX + "start_time_seconds", "Unix time at which their counters started.", value=began
        )
        for row, help in (extension.COUNTERS | figures.COUNTERS).items():
            yield _counter(row, help, numbers)
        for name, help in extension.GAUGES.items():
            shown = f"{help} {_LARGEST}" if name in figures.LARGEST else help
            yield GaugeMetricFamily(_PREFIX + name, shown, value=numbers.gauges.get(name, 0))
        for name, help in extension.HISTOGRAMS.items():
            yield _histogram(name, help, numbers)


def _build_info() -> Metric:
    info = GaugeMetricFamily(_PREFIX + "build_info", "1, with the version as its label.", labels=["version"])
    info.add_metric([__version__], 1)
    return info


def _counter(row: str, help: str, numbers: figures.Figures) -> Metric:
    """Return a counter. It starts with 0 for each value of its label that is known from the start."""
    name, _, label = row.rstrip("}").partition("{")
    if not label:
        return CounterMetricFamily(_PREFIX + name, help, value=numbers.count(name))
    family = CounterMetricFamily(_PREFIX + name, help, labels=[label])
    counts = dict.fromkeys(_FROM_THE_START.get(name, ()), 0) | numbers.counts.get(name, {})
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _histogram(name: str, help: str, numbers: figures.Figures) -> Metric:
    counts, total = numbers.histograms.get(name, ([], 0.0))
    bounds = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in extension.BUCKETS), "+Inf"]
    if len(counts) != len(bounds):
        counts = [0] * len(bounds)
    buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
    return HistogramMetricFamily(_PREFIX + name, help, buckets=buckets, sum_value=total)
