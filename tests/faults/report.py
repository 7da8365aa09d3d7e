"""The rows of the table that `scripts/faults` prints: one for each run that was judged."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.faults.checker import History, Outcome, Verdict

_COLUMNS = (
    "run",
    "tier",
    "events",
    "faults done",
    "received",
    "lost",
    "doubled",
    "out of order",
    "other faults",
    "told",
    "s",
)


def note(run: str, tier: str, history: History, verdict: Verdict, *, done: str, seconds: float) -> None:
    """Write a row into the file that ``FAULTS_REPORT`` names; otherwise print it.

    Args:
        run: What it shows.
        tier: Where the log was.
        history: The run.
        verdict: Of the checker.
        done: What the nemesis did.
        seconds: How long it took.
    """
    others = {name: count for name, count in verdict.faults.items() if name not in ("lost", "doubled", "disordered")}
    row = [
        run,
        tier,
        f"{sum(attempt.outcome is Outcome.STORED for attempt in history.attempts):,}".replace(",", " "),
        done,
        f"{sum(len(chain.numbers) for chain in history.chains):,}".replace(",", " "),
        verdict.lost,
        verdict.doubled,
        verdict.disordered,
        ", ".join(f"{name} {count}" for name, count in others.items()) or 0,
        verdict.told,
        round(seconds),
    ]
    path = os.environ.get("FAULTS_REPORT")
    if path is None:
        print("\n" + _line(row))
        return
    with Path(path).open("a") as file:
        file.write(json.dumps(row) + "\n")


def table(rows: list[list[object]]) -> str:
    """Return the rows as a Markdown table."""
    return "\n".join([_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *map(_line, rows)])


def _line(cells: object) -> str:
    assert isinstance(cells, list | tuple)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    print(table([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]))
