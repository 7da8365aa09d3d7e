"""Counters behind a small interface: plain integers, so that counting costs next to nothing."""

from __future__ import annotations

from collections import Counter

#: Every counter there is, with what it counts; labels in braces.
COUNTERS = {
    "events_published_total": "Events that this worker's callers published.",
    "events_unheard_total": "Events read from the log that no listener of this worker wanted.",
    "publish_failed_total{code}": "Publishes that failed, by error code.",
    "listeners_added_total": "Listeners taken on.",
    "listener_closed_total{reason}": "Listeners gone, by close reason.",
    "listeners_refused_total{code}": "Connections turned away, by error code.",
    "deliveries_total": "Chunks handed to listeners.",
    "overflows_total": "Live listeners that were too slow and went back to reading history.",
    "gaps_total{reason}": "Gap events sent, by reason.",
    "pump_jumps_total": "Times that trimming or a broken log passed this worker's pump by.",
    "receiver_errors_total": "Signal receivers that raised.",
    "broker_lost_total": "Times that the log could not be read.",
}


class Metrics:
    """Counts by name and label value. One worker's own; adding up workers is the reader's job."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, amount: int = 1, label: str = "") -> None:
        """Add to a counter of `COUNTERS`."""
        self._counts[name, label] += amount

    def value(self, name: str, label: str = "") -> int:
        """What a counter stands at; 0 when nothing has been counted."""
        return self._counts[name, label]

    def snapshot(self) -> dict[str, int]:
        """All counters as ``{"simulcast_listener_closed_total{reason=\"drained\"}": 3}``."""
        return {self._exposed(name, label): value for (name, label), value in sorted(self._counts.items())}

    @staticmethod
    def _exposed(name: str, label: str) -> str:
        return f'simulcast_{name}{{{_LABELS[name]}="{label}"}}' if label else f"simulcast_{name}"


_LABELS = {row.partition("{")[0]: row.partition("{")[2].rstrip("}") for row in COUNTERS}
