"""Exposition: the figures of a machine in the text that Prometheus reads, and in OpenMetrics. Pure.

Source: Prometheus, "Exposition formats", text format 0.0.4; OpenMetrics 1.0.0. They differ in the name of a counter's family
and in the last line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from .. import metrics as extension
from ..close_reason import CloseReason
from ..version import __version__
from .figures import COUNTERS, LARGEST, Figures
from .folder import Machine

_PREFIX = "simulcast_"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_METRICS = "application/openmetrics-text"
# A series that begins at 1 hides its first increase. Codes of errors are too many to begin with.
_FROM_THE_START = {
    "listener_closed_total": tuple(reason.value for reason in CloseReason),
    "gaps_total": ("invalid", "trimmed", "lost", "forked"),
}


@dataclass(frozen=True)
class _Family:
    """One metric: its samples are (suffix of the name, label, value of the label, number); the label can be empty."""

    name: str
    type: str
    help: str
    samples: Iterable[tuple[str, str, str, float]]


def exposition(machine: Machine, accept: str = "") -> tuple[bytes, str]:
    """Return all metrics as text, and its content type.

    Args:
        accept: The header ``Accept`` of the reader: OpenMetrics if it names that, else Prometheus' own text.
    """
    is_open = _OPEN_METRICS in accept
    lines = [line for family in _families(machine) for line in _lines(family, is_open)]
    if not is_open:
        return "".join(lines).encode(), _TEXT
    return "".join([*lines, "# EOF\n"]).encode(), f"{_OPEN_METRICS}; version=1.0.0; charset=utf-8"


def _families(machine: Machine) -> Iterator[_Family]:
    workers, began, figures = machine
    yield _Family("build_info", "gauge", "1, with the version as its label.", [("", "version", __version__, 1)])
    yield _Family("workers", "gauge", "Workers of this machine that are alive.", [("", "", "", workers)])
    yield _Family("start_time_seconds", "gauge", "Unix time at which their counters started.", [("", "", "", began)])
    for row, help in (extension.COUNTERS | COUNTERS).items():
        name, _, label = row.rstrip("}").partition("{")
        yield _Family(name.removesuffix("_total"), "counter", help, _counter(name, label, figures))
    for name, help in extension.GAUGES.items():
        shown = f"{help} The largest of all workers." if name in LARGEST else help
        yield _Family(name, "gauge", shown, [("", "", "", figures.gauges.get(name, 0))])
    for name, help in extension.HISTOGRAMS.items():
        yield _Family(name, "histogram", help, _histogram(name, figures))


def _counter(name: str, label: str, figures: Figures) -> Iterator[tuple[str, str, str, float]]:
    """Yield the samples of a counter. It starts with 0 for each value of its label that is known from the start."""
    if not label:
        yield "_total", "", "", figures.count(name)
        return
    counts = dict.fromkeys(_FROM_THE_START.get(name, ()), 0) | figures.counts.get(name, {})
    for value, count in sorted(counts.items()):
        yield "_total", label, value, count


def _histogram(name: str, figures: Figures) -> Iterator[tuple[str, str, str, float]]:
    counts, total = figures.histograms.get(name, ([], 0.0))
    bounds = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in extension.BUCKETS), "+Inf"]
    if len(counts) != len(bounds):
        counts = [0] * len(bounds)
    for bound, count in zip(bounds, accumulate(counts), strict=True):
        yield "_bucket", "le", bound, count
    yield "_count", "", "", sum(counts)
    yield "_sum", "", "", total


def _lines(family: _Family, is_open: bool) -> Iterator[str]:
    name = _PREFIX + family.name
    of_family = f"{name}_total" if family.type == "counter" and not is_open else name
    yield f"# HELP {of_family} {_escaped(family.help)}\n"
    yield f"# TYPE {of_family} {family.type}\n"
    for suffix, label, value, number in family.samples:
        labels = f'{{{label}="{_escaped(value)}"}}' if label else ""
        yield f"{name}{suffix}{labels} {float(number)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
