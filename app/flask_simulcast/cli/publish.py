"""``flask simulcast publish``: append one event."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..app_state import current_state
from .group import RefusedError
from .log import open_log

# A character of a few bytes can stand in JSON as an escape of six or twelve.
_LONGEST_FORM = 6


@click.command()
@click.argument("channel")
@click.argument("data", metavar="JSON")
@click.option("--type", default="message", show_default=True, help="Type of the event.")
@click.option(
    "--key", metavar="TEXT", help="Idempotency key: a second event with it, within 300 s, is not stored again."
)
@click.option("--raw", is_flag=True, help="JSON is text that browsers get as it is: HTML, for example.")
def publish(channel: str, data: str, type: str, key: str | None, raw: bool) -> None:
    """Publish JSON to a channel, and print the position of the event.

    JSON is a value such as '{"id": 7}' or '"text"', or - to read it from the standard input.
    """
    text = _standard_input() if data == "-" else data
    with open_log(create=True) as log:
        event = log.publish(channel, text if raw else _parsed(text), type=type, idempotency_key=key, raw=raw)
    click.echo(str(event.position))


def _standard_input() -> str:
    most = current_state().settings.max_event_bytes * _LONGEST_FORM
    text = sys.stdin.buffer.read(most + 1)
    if len(text) > most:
        raise RefusedError(
            f"The standard input has more than {most} bytes. Send one value within SIMULCAST_MAX_EVENT_BYTES."
        )
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise RefusedError("The standard input is not UTF-8. Send text in UTF-8.") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedError(
            f"{_short(text)} is not JSON. Quote it for the shell, and text inside it once more: "
            "'{\"id\": 7}', '\"text\"'."
        ) from None


def _short(text: str) -> str:
    return ascii(text if len(text) <= 64 else text[:61] + "...")
