"""``flask simulcast runs``: which runs there are, over all workers."""

from __future__ import annotations

import json
from typing import Any

import click

from ..run_state import RunState
from .log import open_log
from .output import age, as_json, print_objects, print_table, say_more


@click.command()
@click.option("--user", default="", metavar="NAME", help="Only those of this user.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="Largest number of runs.")
@click.option("--after", default="", metavar="ID", help="Go on after this run.")
@as_json
def runs(user: str, limit: int, after: str, as_json: bool) -> None:
    """List the runs that have not ended, and those that ended in the last hour. WORKER is machine:process:part."""
    with open_log() as log:
        found = log.broker.runs(after, limit + 1, user=user)
    shown = found[:limit]
    if as_json:
        print_objects(map(_object, shown))
    else:
        rows = ((one.id, one.user, one.status, one.events, age(one.started_ms), one.worker) for one in shown)
        print_table(("RUN", "USER", "STATUS", "EVENTS", "SINCE", "WORKER"), rows)
    if len(found) > limit:
        say_more("--after", shown[-1].id)


def _object(one: RunState) -> dict[str, Any]:
    return {
        "id": one.id,
        "user": one.user,
        "status": one.status,
        "events": one.events,
        "started_ms": one.started_ms,
        "ended_ms": None if one.end is None else one.end.milliseconds,
        "meta": json.loads(one.meta),
        "worker": one.worker,
    }
