"""``flask simulcast cancel``: end a run."""

from __future__ import annotations

import click

from ..errors import NoSuchRunError
from .log import open_log
from .output import say


@click.command()
@click.argument("run")
def cancel(run: str) -> None:
    """End a RUN as cancelled, in any worker. `runs` prints the ids."""
    with open_log() as log:
        if log.hub.runner.cancel(run):
            return
        state = log.hub.runner.find(run)
    if state is None:
        raise NoSuchRunError(run)
    say(f"The run has ended before: {state.status}.")
