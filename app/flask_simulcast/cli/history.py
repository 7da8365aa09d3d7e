"""``flask simulcast history``: what was published."""

from __future__ import annotations

import click

from ..hub.history import read_history
from .log import open_log
from .names import readable
from .output import as_json, print_event, print_gap, say_more


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option(
    "--from", "start", metavar="POSITION", help="Begin after this position. Without it, print the newest events."
)
@click.option(
    "--count", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Largest number of events."
)
@as_json
def history(channels: tuple[str, ...], start: str | None, count: int, as_json: bool) -> None:
    """Print events of the history of channels, in their order."""
    names = readable(channels)
    with open_log() as log:
        page = read_history(log.broker, names, start, count)
    if page.gap is not None:
        print_gap(page.gap, as_json)
    for event in page.events:
        print_event(event, as_json)
    if page.has_more:
        say_more("--from", page.position)
