"""``flask --app wsgi simulcast token``: the service's own command beside those of the extension."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo

from .extensions import simulcast
from .flask_simulcast import SettingError
from .identity.tokens import mint


def init_app(app: Flask) -> None:
    """Add the command to the extension's group."""
    group = app.cli.commands["simulcast"]
    assert isinstance(group, click.Group)
    group.add_command(token)


def is_command() -> bool:
    """Tell whether the app is created for a command at a prompt, not for a server. A command creates no log and no tables: in
    the wrong folder it would publish to a log without listeners."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_object(ScriptInfo) is not None and context.info_name != "run"


class _RefusedError(click.ClickException):
    exit_code = 2  # as a wrong option


@contextmanager
def told_at_a_prompt() -> Iterator[None]:
    """End a command with one sentence and exit code 2 where a setting of the service is wrong."""
    try:
        yield
    except SettingError as error:
        if not is_command():
            raise
        raise _RefusedError(str(error)) from None


@click.command()
@click.option(
    "--subscribe", multiple=True, metavar="PATTERN", help="May listen to these channels: chat.*  Repeat, or use commas."
)
@click.option("--publish", multiple=True, metavar="PATTERN", help="May publish to these.")
@click.option("--user", default="", help="Name of the token's user.")
@click.option("--ttl", default=3600.0, show_default=True, type=click.FloatRange(1), help="Seconds until it ends.")
@click.option("--meta", default="{}", metavar="JSON", help="A JSON object that others see of the user.")
@click.option("--audience", default=None, help="Its audience (aud). Defaults to SIMULCAST_JWT_AUDIENCE.")
def token(
    subscribe: tuple[str, ...], publish: tuple[str, ...], user: str, ttl: float, meta: str, audience: str | None
) -> None:
    """Print a token, signed with SIMULCAST_JWT_KEY, and nothing else, so that $(…) can take it."""
    config = current_app.config
    key = config["SIMULCAST_JWT_KEY"]
    if not key:
        raise SettingError(
            "There is no key to sign with. Set SIMULCAST_JWT_KEY, the same as for the service: $(openssl rand -hex 32)"
        )
    longest = simulcast.settings.max_grant_seconds
    if ttl > longest:
        raise click.BadParameter(
            f"{ttl:g} is too long. Use at most {longest:g}, or raise SIMULCAST_MAX_GRANT_SECONDS.", param_hint="--ttl"
        )
    text = mint(
        key,
        seconds=ttl,
        user=user,
        subscribe=_patterns(subscribe),
        publish=_patterns(publish),
        meta=_object(meta),
        audience=config["SIMULCAST_JWT_AUDIENCE"] if audience is None else audience,
        issuer=config["SIMULCAST_JWT_ISSUER"],
    )
    click.echo(text)


def _patterns(given: tuple[str, ...]) -> list[str]:
    return [pattern.strip() for text in given for pattern in text.split(",") if pattern.strip()]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.BadParameter(
            f'{text[:64]!a} is no JSON object. Use for example --meta \'{{"name": "Alice"}}\'.', param_hint="--meta"
        )
    return value
