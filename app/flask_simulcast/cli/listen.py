"""``flask simulcast listen``: follow channels at a prompt."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..brokers.base import Broker
from ..errors import BrokerUnavailableError
from ..event import Event, Position
from .follower import Follower, Gap
from .group import RefusedError
from .log import open_log
from .names import readable
from .output import as_json, print_event, print_gap, say

# The longest wait for a hint that the log has grown.
_POLL_SECONDS = 0.5


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--from", "start", metavar="POSITION", help="Begin after this position.")
@click.option("--last", default=0, type=click.IntRange(0, 100_000), help="Begin with this number of the newest events.")
@click.option("--count", type=click.IntRange(1), help="End after this number of events.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after this time.")
@as_json
def listen(
    channels: tuple[str, ...], start: str | None, last: int, count: int | None, seconds: float | None, as_json: bool
) -> None:
    """Print the events of channels as they are published, until Ctrl-C.

    At the end it prints the position from which a later call goes on.
    """
    names = readable(channels)
    with open_log() as log:
        done = _beginning(log.broker, names, start, last)
        with _until_ctrl_c() as is_over:
            for item in _limited(_follow(Follower(log.broker, names, done), seconds, is_over), count):
                if isinstance(item, Event):
                    print_event(item, as_json)
                    done = item.position
                else:
                    print_gap(item, as_json)
        say(f"Go on with --from {done}")


def _beginning(broker: Broker, channels: tuple[str, ...], start: str | None, last: int) -> Position:
    if start is None:
        return broker.newest(channels, last) if last else broker.head()
    if last:
        raise click.UsageError("Use --from or --last, not both.")
    position = Position.parse(start)
    if position is None:
        raise RefusedError(f"{start[:64]!a} is not a position. Use one that publish, history or listen has printed.")
    return position


@contextmanager
def _until_ctrl_c() -> Iterator[threading.Event]:
    """Give a flag that Ctrl-C sets, instead of an exception between an event and its position. A second one ends the process."""
    is_over = threading.Event()

    def stop(*_: object) -> None:
        is_over.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield is_over
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(follower: Follower, seconds: float | None, is_over: threading.Event) -> Iterator[Event | Gap]:
    """Read and wait in turn. A log that can't be read is tried again: a server may just be starting."""
    end = None if seconds is None else time.monotonic() + seconds
    is_lost = False
    while not is_over.is_set() and (end is None or time.monotonic() < end):
        left = _POLL_SECONDS if end is None else min(_POLL_SECONDS, end - time.monotonic())
        try:
            yield from follower.read()
            is_lost = False
            if follower.is_at_head:
                follower.wait(max(left, 0))
        except BrokerUnavailableError as error:
            if not is_lost:
                say(f"{error} Trying again.")
            is_lost = True
            time.sleep(max(left, 0))


def _limited(items: Iterator[Event | Gap], count: int | None) -> Iterator[Event | Gap]:
    """Stop after a number of events; gaps do not count."""
    for item in items:
        yield item
        if count is not None and isinstance(item, Event):
            count -= 1
            if not count:
                return
