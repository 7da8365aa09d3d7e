"""``flask simulcast kick``: close one connection."""

from __future__ import annotations

import click

from .log import open_log


@click.command()
@click.argument("listener")
@click.option("--no-reconnect", is_flag=True, help="Tell the client to stay away, and revoke its token.")
def kick(listener: str, no_reconnect: bool) -> None:
    """Close the connection of a LISTENER, in any worker. `listeners` prints the ids."""
    with open_log() as log:
        log.kick(listener, reconnect=not no_reconnect)
