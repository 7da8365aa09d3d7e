"""``python -m flask_simulcast.client``: listen and publish at a prompt, on any machine, without an app."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ..cli.output import as_json, moment, printable, say
from .client import Client
from .errors import ClientError
from .event import ReceivedEvent
from .status import Status

TOKEN_VARIABLE = "SIMULCAST_TOKEN"
_MAX_INPUT_BYTES = 16 << 20


class _RefusedError(click.ClickException):
    exit_code = 2  # as click's own errors about options


def _for_url(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that both commands have."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    text = f"A file with the token. Else {TOKEN_VARIABLE} has it, if the server wants one."
    return click.argument("url")(click.option("--token-file", type=file, help=text)(command))


def _client(url: str, token_file: Path | None) -> Client:
    # No option has the token itself: every user of a machine can read a command line.
    token = token_file.read_text("ascii", "replace").strip() if token_file else os.environ.get(TOKEN_VARIABLE) or None
    try:
        return Client(url, token=token)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="URL") from None


@click.group()
def main() -> None:
    """Listen to a server's streams, and publish there."""


@main.command()
@_for_url
@click.argument("channels", nargs=-1)
@click.option("--from", "position", default="", metavar="POSITION", help="Begin after this position.")
@click.option(
    "--replay", default=0, type=click.IntRange(0, 1000), help="With CHANNELS: begin with this number of recent events."
)
@click.option("--count", type=click.IntRange(1), help="End after this number of events.")
@as_json
def listen(
    url: str,
    token_file: Path | None,
    channels: tuple[str, ...],
    position: str,
    replay: int,
    count: int | None,
    as_json: bool,
) -> None:
    """Print the events of a stream until Ctrl-C. At the end it prints the position from which a later call goes on.

    URL is that of one stream. With CHANNELS it is that of the service.
    """
    try:
        stream = _client(url, token_file).listen(*channels, position=position, replay=replay, on_state=_tell)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    signal.signal(signal.SIGINT, lambda *_: stream.close())
    with stream:
        try:
            for event in islice(stream, count):
                _print(event, as_json)
        except ClientError as error:
            raise _RefusedError(printable(str(error))) from None
        finally:
            if stream.position:
                say(f"Go on with --from {printable(stream.position)}")


@main.command()
@_for_url
@click.argument("channel")
@click.argument("data", metavar="JSON")
@click.option("--type", default="message", show_default=True, help="Type of the event.")
@click.option(
    "--key", metavar="TEXT", help="Idempotency key: a second event with it, within 300 s, is not stored again."
)
def publish(url: str, token_file: Path | None, channel: str, data: str, type: str, key: str | None) -> None:
    """Publish JSON to a channel of the service, and print the position of the event.

    JSON is a value such as '{"id": 7}' or '"text"', or - to read it from the standard input.
    """
    value = _parsed(sys.stdin.buffer.read(_MAX_INPUT_BYTES) if data == "-" else data)
    with _client(url, token_file) as client:
        try:
            click.echo(client.publish(channel, value, type=type, idempotency_key=key))
        except ClientError as error:
            raise _RefusedError(printable(str(error))) from None


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _RefusedError("This is not JSON. Quote it for the shell: '{\"id\": 7}', '\"text\"'.") from None


def _tell(status: Status) -> None:
    if status.state == "reconnecting":
        say(f"The connection is lost ({printable(status.reason)}). The next try is in {status.wait_seconds:.1f} s.")
    elif status.state == "stale":
        say("The server is silent.")


def _print(event: ReceivedEvent, as_json: bool) -> None:
    if as_json:
        names = {"id": event.position, "channel": event.channel, "type": event.type, "time": event.time_ms}
        known = {name: value for name, value in names.items() if value}
        click.echo(json.dumps(known | {"data": event.data}, ensure_ascii=False, separators=(",", ":")))
    else:
        time = "" if event.time_ms is None else moment(event.time_ms)
        data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False)
        click.echo("  ".join(printable(part) for part in (time, event.channel or "", event.type, data) if part))


if __name__ == "__main__":
    main(prog_name="python -m flask_simulcast.client")
