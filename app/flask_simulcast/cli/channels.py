"""``flask simulcast channels``: which channels there are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from ..brokers.base import MOST_COUNTED, Broker, ChannelSummary
from .log import open_log
from .names import split_pattern
from .output import age, as_json, print_objects, print_table, say_more

_AT_ONCE = 100


@click.command()
@click.argument("pattern", default="*")
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="Largest number of channels."
)
@click.option("--after", default="", metavar="NAME", help="Go on after this channel.")
@as_json
def channels(pattern: str, limit: int, after: str, as_json: bool) -> None:
    """List the channels that have events or listeners.

    PATTERN is a name, or a beginning with a star: 'chat.*'. RATE is events a second, on average since the oldest event.
    """
    prefix, is_open = split_pattern(pattern)
    with open_log() as log:
        found = [one for one in _all(log.broker, after, limit + 1, prefix) if is_open or one.channel == prefix]
    shown = found[:limit]
    if as_json:
        print_objects({**one._asdict(), "rate": round(_rate(one), 3)} for one in shown)
    else:
        print_table(("CHANNEL", "EVENTS", "RATE", "OLDEST", "NEWEST", "LISTENERS"), map(_row, shown))
    if len(found) > limit:
        say_more("--after", shown[-1].channel)


def _all(broker: Broker, after: str, limit: int, prefix: str) -> Iterator[ChannelSummary]:
    while limit > 0 and (page := broker.channels(after, min(limit, _AT_ONCE), prefix=prefix)):
        yield from page
        after = page[-1].channel
        limit -= len(page)


def _rate(one: ChannelSummary) -> float:
    seconds = time.time() - one.first_ms / 1000
    return one.events / max(seconds, 1)


def _row(one: ChannelSummary) -> tuple[object, ...]:
    events, listeners = (f"{n}+" if n == MOST_COUNTED else n for n in (one.events, one.listeners))
    if not one.events:
        return (one.channel, events, "", "", "", listeners)
    rate = _rate(one)
    return (
        one.channel,
        events,
        f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s",
        age(one.first_ms),
        age(one.last_ms),
        listeners,
    )
