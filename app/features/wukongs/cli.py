"""``flask --app wsgi wukong agent``: the agent, on a machine that has the whole service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from flask import Flask
from flask.cli import AppGroup

from .agent.command import TOKEN_VARIABLE, agent

_ROOT = Path(__file__).resolve().parents[3]

group = AppGroup("wukong", help="Wukongs: machines that report their status.")


def init_app(app: Flask) -> None:
    """Add the ``flask`` commands."""
    app.cli.add_command(group)


def _become_agent(
    name: str, url: str, interval: float, token: str | None, token_file: str | None, rpc: str | None
) -> NoReturn:
    """Replace this process by a plain one with the same pid: without the service's patches, files and memory, and with the
    token where no list of processes shows it."""
    arguments = ["--name", name, "--url", url, "--interval", f"{interval:g}"]
    if rpc is not None:
        arguments.append(f"--rpc={rpc}")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
    }
    environment.pop(TOKEN_VARIABLE, None)
    if token_file is not None:
        arguments += ["--token-file", token_file]
    elif token is not None:
        environment[TOKEN_VARIABLE] = token
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "app.features.wukongs.agent", *arguments], environment)


group.add_command(click.Command("agent", params=agent.params, callback=_become_agent, help=agent.help))
