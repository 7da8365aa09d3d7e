"""``flask simulcast revoke``: end the grants of a user, or a token."""

from __future__ import annotations

import click

from .log import open_log


@click.command()
@click.option("--user", metavar="NAME", help="Revoke all grants that this user was given until now.")
@click.option("--token-id", metavar="ID", help="Revoke the token with this id (jti).")
def revoke(user: str | None, token_id: str | None) -> None:
    """Close the streams of a user or a token in all workers, and refuse the same tokens from now on."""
    if not (user or token_id):
        raise click.UsageError("Name a user with --user, or a token with --token-id.")
    with open_log() as log:
        log.revoke(user=user, token_id=token_id or None)
