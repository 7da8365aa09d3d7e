"""The agent's command line."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import click

from ....flask_simulcast.client import Client, RefusedError
from ....host import HOST
from ..command_set import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS
from .program import Agent
from .reports import OneCall, Puts, Reports

TOKEN_VARIABLE = "SIMULCAST_AGENT_TOKEN"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# The service sends a heartbeat each 15 s. The agent leaves a silent stream after a minute. With a longer heartbeat it only
# reconnects, and resumes, more often.
_HEARTBEAT_SECONDS = 24.0


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
@click.option(
    "--rpc",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Report by one call of gRPC, to --url or to a URL of its own. Needs grpcio.",
)
def agent(name: str, url: str, interval: float, token: str | None, token_file: str | None, rpc: str | None) -> None:
    """Report the status of this machine, and carry out the commands that docs/wukongs.md lists, until TERM or INT."""
    if _NAME.fullmatch(name) is None:
        raise click.BadParameter("Use 1 to 64 characters of A-Z a-z 0-9 . _ -", param_hint="--name")
    if token is None and token_file is None:
        raise click.UsageError(f"There is no token. Set {TOKEN_VARIABLE}, or name a --token-file.")

    def read_token() -> str:
        return _read(Path(token_file)) if token_file is not None else str(token)

    def connect(path: str) -> Client:
        headers = {"User-Agent": "simulcast-agent"}
        address = url.rstrip("/") + path
        return Client(address, token=read_token, headers=headers, heartbeat_seconds=_HEARTBEAT_SECONDS)

    def reports(puts: Puts) -> Reports:
        return puts if rpc is None else _one_call(rpc or url, name, read_token, puts)

    logging.basicConfig(level="INFO", format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s")
    try:
        read_token()
        Agent(name, interval, connect, reports).run()
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--url") from None
    except RefusedError as error:
        raise click.ClickException(str(error)) from None


def _one_call(url: str, name: str, token: Callable[[], str], puts: Puts) -> OneCall:
    try:
        return OneCall(url, name, token, puts)
    except ImportError:
        raise click.UsageError("--rpc needs grpcio. Install it: pip install grpcio.") from None
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--rpc") from None
    except OSError as error:
        raise click.UsageError(f"The file that SSL_CERT_FILE names can't be read: {error.strerror}.") from None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError as error:
        text = f"The token's file {str(path)!r} can't be read: {error.strerror}."
        raise RefusedError(text, reason="no_token") from None
