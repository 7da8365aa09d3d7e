"""The agent's command line."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import click

from ....host import HOST
from ..command_set import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS
from .connection import Address, Connection
from .errors import RefusedError
from .program import Agent

TOKEN_VARIABLE = "SIMULCAST_AGENT_TOKEN"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,8192}")  # goes into a header


@click.command("agent")
@click.option("--name", default=HOST, show_default="this machine's", help="Name of the wukong that it reports as.")
@click.option("--url", required=True, help="URL of the service: https://simulcast.example")
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS),
    help="Seconds between two reports.",
)
@click.option(
    "--token", envvar=TOKEN_VARIABLE, help=f"The token; better in {TOKEN_VARIABLE}, hidden from process lists."
)
@click.option(
    "--token-file", type=click.Path(), help="A file with the token. It is read for each request, so it can be replaced."
)
def agent(name: str, url: str, interval: float, token: str | None, token_file: str | None) -> None:
    """Report the status of this machine, and carry out the commands that docs/wukongs.md lists, until TERM or INT."""
    if _NAME.fullmatch(name) is None:
        raise click.BadParameter("Use 1 to 64 characters of A-Z a-z 0-9 . _ -", param_hint="--name")
    try:
        address = Address.parse(url)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--url") from None
    if token is None and token_file is None:
        raise click.UsageError(f"There is no token. Set {TOKEN_VARIABLE}, or name a --token-file.")

    def read_token() -> str:
        return _checked(_read(Path(token_file)) if token_file is not None else str(token))

    logging.basicConfig(level="INFO", format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s")
    try:
        read_token()
        Agent(name, interval, lambda: Connection(address, read_token)).run()
    except RefusedError as error:
        raise click.ClickException(str(error)) from None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError as error:
        raise RefusedError(f"The token's file {str(path)!r} can't be read: {error.strerror}.") from None


def _checked(token: str) -> str:
    """Check the token. No message quotes it: a wrong token is a secret, too."""
    if _TOKEN.fullmatch(token) is None:
        raise RefusedError("The token is empty or has characters that no token has. Check how it was copied.")
    return token
