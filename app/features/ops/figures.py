"""Figures: what one worker has counted, as plain numbers that can be written down, read back and added up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from ...flask_simulcast import metrics as extension

#: What the service counts beside the extension.
COUNTERS = {
    "answers_total{status}": "Answers to requests, by status; a stream's when it begins.",
    "request_errors_total": "Requests that ended in an error that nobody had foreseen.",
}
#: Of these gauges the largest of all workers counts; the others are added up.
LARGEST = frozenset({"lag_seconds", "write_ahead_bytes"})


class Figures(msgspec.Struct):
    """Numbers of one worker, or of several.

    Attributes:
        counts: By name and label value; an empty one where there is no label.
        gauges: By name.
        histograms: By name: one count for each bucket and for what is beyond, not cumulated; and the sum, in seconds.
    """

    counts: dict[str, dict[str, int]] = {}
    gauges: dict[str, float] = {}
    histograms: dict[str, tuple[list[int], float]] = {}

    def count(self, name: str, label: str | None = None) -> int:
        """What a counter stands at; without a label, over all of them."""
        by_label = self.counts.get(name, {})
        return sum(by_label.values()) if label is None else by_label.get(label, 0)


def of_worker(metrics: extension.Metrics, answers: Mapping[int, int], request_errors: int) -> Figures:
    """What a worker stands at now.

    Args:
        metrics: What the extension has counted.
        answers: By status.
        request_errors: Those that nobody had foreseen.
    """
    counts = {
        "answers_total": {str(status): number for status, number in answers.items()},
        "request_errors_total": {"": request_errors},
    }
    for (name, label), value in metrics.counts().items():
        counts.setdefault(name, {})[label] = value
    histograms = {name: (row.counts, row.sum) for name, row in metrics.histograms().items()}
    return Figures(counts, metrics.gauges(), histograms)


def added_up(living: Iterable[Figures], ended: Iterable[Figures] = ()) -> Figures:
    """Workers that have ended still count; what is measured as it stands now is that of the living alone."""
    living = list(living)
    gauges: dict[str, float] = {}
    for figures in living:
        for name, value in figures.gauges.items():
            before = gauges.get(name, 0.0)
            gauges[name] = max(before, value) if name in LARGEST else before + value
    counts: dict[str, Counter[str]] = {}
    histograms: dict[str, tuple[list[int], float]] = {}
    for figures in (*living, *ended):
        for name, by_label in figures.counts.items():
            counts.setdefault(name, Counter()).update(by_label)
        for name, row in figures.histograms.items():
            histograms[name] = _added(histograms[name], row) if name in histograms else row
    return Figures({name: dict(by_label) for name, by_label in counts.items()}, gauges, histograms)


def _added(one: tuple[list[int], float], other: tuple[list[int], float]) -> tuple[list[int], float]:
    if len(one[0]) != len(other[0]):
        return one  # of a version with other buckets, which a reload has replaced
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]
