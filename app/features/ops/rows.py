"""Rows: what the workers of this machine did between two looks. Pure."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from ...flask_simulcast.ops import BUCKETS, Figures
from ...host import HOST
from ...looks import Look

# Counters that are told by their label, and those that are told as a sum.
_BY_LABEL = {"closed": "listener_closed_total", "gaps": "gaps_total"}
_SUMS = {"overflows": "overflows_total", "refused": "listeners_refused_total"}


def row(before: Look, now: Look) -> dict[str, Any]:
    """Return the figures of a moment, the rates since the look before, and how long publishing and delivery took meanwhile."""
    seconds = max(now.at - before.at, 0.001)
    gauges = now.figures.gauges
    return {
        "host": HOST,
        "time": now.time_ms,
        "workers": now.workers,
        "listeners": round(gauges.get("listeners", 0)),
        "parked": round(gauges.get("listeners_parked", 0)),
        "lag_seconds": round(gauges.get("lag_seconds", 0), 3),
        "log_bytes": round(gauges.get("log_bytes", 0)),
        "write_ahead_bytes": round(gauges.get("write_ahead_bytes", 0)),
        "published_per_second": round(_more(before, now, "events_published_total") / seconds, 1),
        "delivered_per_second": round(_more(before, now, "events_delivered_total") / seconds, 1),
        "publish_ms": _percentiles(before.figures, now.figures, "publish_seconds"),
        "delivery_ms": _percentiles(before.figures, now.figures, "delivery_seconds"),
    } | totals(now.figures)


def totals(figures: Figures) -> dict[str, Any]:
    """Return what was counted since the server was started."""
    by_label = {name: figures.counts.get(counter, {}) for name, counter in _BY_LABEL.items()}
    return by_label | {name: figures.count(counter) for name, counter in _SUMS.items()}


def _more(before: Look, now: Look, counter: str) -> int:
    return max(now.figures.count(counter) - before.figures.count(counter), 0)


def _percentiles(before: Figures, now: Figures, histogram: str) -> dict[str, float] | None:
    """Return the percentiles of what was measured between two looks, in ms: upper bounds of buckets. None if nothing was."""
    counts = now.histograms.get(histogram, ([], 0.0))[0]
    earlier = before.histograms.get(histogram, ([0] * len(counts), 0.0))[0]
    sums = list(accumulate(max(a - b, 0) for a, b in zip(counts, earlier, strict=False)))
    if not sums or not sums[-1]:
        return None
    return {name: _at_most_ms(sums, share) for name, share in (("p50", 0.5), ("p99", 0.99))}


def _at_most_ms(sums: list[int], share: float) -> float:
    """Return the bound below which this share of the values lies; twice the last bound for those beyond."""
    place = next(index for index, sum in enumerate(sums) if sum >= share * sums[-1])
    return 1000 * (BUCKETS[place] if place < len(BUCKETS) else 2 * BUCKETS[-1])
