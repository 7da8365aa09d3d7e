"""``flask simulcast listeners``: which connections there are, over all workers."""

from __future__ import annotations

import json
from typing import Any

import click

from ..presence import Place
from .log import open_log
from .names import readable
from .output import age, as_json, print_objects, print_table, say_more


@click.command()
@click.option("--channel", default="", metavar="NAME", help="Only those of this channel.")
@click.option("--user", default="", metavar="NAME", help="Only those of this user.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="Largest number of listeners."
)
@click.option("--after", default="", metavar="ID", help="Go on after this listener.")
@as_json
def listeners(channel: str, user: str, limit: int, after: str, as_json: bool) -> None:
    """List the listeners of all workers: each is one connection. WORKER is machine:process:part."""
    readable([channel] if channel else [])
    with open_log() as log:
        found = log.broker.places(after, limit + 1, channel=channel, user=user)
    shown = found[:limit]
    if as_json:
        print_objects(map(_object, shown))
    else:
        print_table(("LISTENER", "USER", "CHANNELS", "ENCODING", "SINCE", "WORKER"), map(_row, shown))
    if len(found) > limit:
        say_more("--after", shown[-1].listener)


def _object(place: Place) -> dict[str, Any]:
    return place._asdict() | {"meta": json.loads(place.meta)}


def _row(place: Place) -> tuple[object, ...]:
    return (place.listener, place.user, ",".join(place.channels), place.encoding, age(place.since_ms), place.worker)
