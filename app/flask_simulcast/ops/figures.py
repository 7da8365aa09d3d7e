"""Figures: the counts of one worker, as plain numbers that can be stored, read and added up. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import metrics as extension

#: Counters of the app's requests, besides those of the extension.
COUNTERS = {
    "answers_total{status}": "Answers to requests, by status; a stream's when it begins.",
    "request_errors_total": "Requests that ended in an unexpected error.",
}
#: Gauges for which the largest value of all workers counts. The others are added up.
LARGEST = frozenset({"lag_seconds", "write_ahead_bytes", "log_bytes"})


@dataclass
class Figures:
    """Numbers of one worker, or of several.

    Attributes:
        counts: Counters by name and label value; the value is empty for a counter without a label.
        gauges: Gauges by name.
        histograms: Histograms by name: one count for each bucket and one beyond, not cumulated; and the sum, in seconds.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, tuple[list[int], float]] = field(default_factory=dict)

    def count(self, name: str, label: str | None = None) -> int:
        """Return the value of a counter; without a label, the sum over all label values."""
        by_label = self.counts.get(name, {})
        return sum(by_label.values()) if label is None else by_label.get(label, 0)

    def as_json(self) -> str:
        """Return the text from which `of_json` makes the same figures."""
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def of_json(cls, text: str | bytes) -> Figures:
        """Return the figures of a text.

        Raises:
            ValueError: The text has another shape.
        """
        try:
            return cls.of_plain(json.loads(text))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"Figures can't be read: {error}") from None

    @classmethod
    def of_plain(cls, given: Mapping[str, Any]) -> Figures:
        """Return the figures of parsed JSON. Raises TypeError, ValueError, KeyError or AttributeError for another shape."""
        counts = {
            name: {label: int(value) for label, value in by_label.items()} for name, by_label in given["counts"].items()
        }
        gauges = {name: float(value) for name, value in given["gauges"].items()}
        histograms = {
            name: (list(map(int, counts)), float(total)) for name, (counts, total) in given["histograms"].items()
        }
        return cls(counts, gauges, histograms)


def of_worker(metrics: extension.Metrics, answers: Mapping[int, int], request_errors: int) -> Figures:
    """Return the current figures of a worker.

    Args:
        metrics: The extension's counters.
        answers: Number of answers by status.
        request_errors: Number of unexpected errors.
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
    """Add up the figures of workers. Counters include workers that have ended; gauges are only of the living ones."""
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
        return one  # from a version with other buckets, before a reload
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]
