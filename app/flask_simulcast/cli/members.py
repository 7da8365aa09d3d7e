"""``flask simulcast members``: who is present on a channel."""

from __future__ import annotations

import json

import click

from .log import open_log
from .names import readable
from .output import age, as_json, print_objects, print_table, say_more


@click.command()
@click.argument("channel")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="Largest number of members."
)
@click.option("--after", default="", metavar="NAME", help="Go on after this member.")
@as_json
def members(channel: str, limit: int, after: str, as_json: bool) -> None:
    """List the members that are present on a channel, over all workers."""
    readable([channel])
    with open_log() as log:
        found = log.broker.members(channel, after, limit + 1)
    shown = found[:limit]
    if as_json:
        print_objects(one._asdict() | {"meta": json.loads(one.meta)} for one in shown)
    else:
        rows = ((one.member, one.listeners, age(one.since_ms), one.meta) for one in shown)
        print_table(("MEMBER", "LISTENERS", "SINCE", "META"), rows)
    if len(found) > limit:
        say_more("--after", shown[-1].member)
