"""How commands print: tables and lines for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ..data import text_of
from ..encoding.ndjson import NDJSON
from ..event import Event

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")


def printable(text: str) -> str:
    """Return the text with an escape for each character that could steer a terminal."""
    return "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])


def moment(time_ms: int) -> str:
    """Return a time in the zone of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1000))


def age(time_ms: int) -> str:
    """Return how long ago a time was, in one unit."""
    seconds = max(time.time() - time_ms / 1000, 0)
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"


def print_objects(rows: Iterable[dict[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        click.echo(json.dumps(row))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns under their names."""
    texts = [list(head), *([printable(str(value)) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def print_event(event: Event, as_json: bool) -> None:
    """Print an event on one line: as a stream in NDJSON has it, or for people."""
    if as_json:
        click.echo(NDJSON.event(event), nl=False)
    else:
        parts = (moment(event.time_ms), event.channel, event.type, text_of(event.data))
        click.echo("  ".join(map(printable, parts)))


def print_gap(gap: dict[str, Any], as_json: bool) -> None:
    """Tell that events are missing, as a stream does."""
    if as_json:
        click.echo(NDJSON.notice("gap", json.dumps(gap), ""), nl=False)
    else:
        say(f"Events of {', '.join(gap['channels'])} are missing up to {gap['to']}: {gap['reason']}.")


def say_more(option: str, place: object) -> None:
    """Tell that there is more than was printed, and the option with which the next call goes on."""
    say(f"There are more. Go on with {option} {shlex.quote(printable(str(place)))}")


def say(text: str) -> None:
    """Tell something beside the result, on the standard error."""
    click.echo(text, err=True)
