"""The group of the commands. A command's module is imported when the command is used, so that a server never pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click
from flask import current_app
from flask.cli import ScriptInfo

from ..errors import SettingError, SimulcastError

# Each is a module beside this one, with a command of the same name in it.
_COMMANDS = (
    "cancel", "channels", "doctor", "history", "kick", "listen", "listeners", "members", "publish", "revoke", "run", "runs",
)  # fmt: skip


class RefusedError(click.ClickException):
    """A command can't do what it was asked to. Its one sentence goes to the standard error."""

    exit_code = 2  # as click's own errors about options


class SettingRefusedError(RefusedError, SettingError):
    """A wrong setting, found while a command loads the app."""


@contextmanager
def told_at_a_prompt() -> Iterator[None]:
    """Tell a wrong setting in one sentence, without a traceback, if a ``flask`` command loads the app."""
    try:
        yield
    except SettingError as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise SettingRefusedError(str(error)) from None


class Commands(click.Group):
    """``flask simulcast``. An app can add commands of its own to its group."""

    def __init__(self) -> None:
        super().__init__("simulcast", help="Publish, follow, and look into the log.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*_COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; the app's own goes before."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in _COMMANDS:
            return own
        command: click.Command = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the line names. An error of the log, or of a value, is told in one sentence."""
        if not current_app:  # a test calls the group of an app, past Flask's own
            ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        try:
            return super().invoke(ctx)
        except SimulcastError as error:
            raise RefusedError(str(error)) from None
        except UnicodeEncodeError as error:  # of bytes that the terminal sent
            raise RefusedError(f"{error.object[:64]!a} is not text in UTF-8. Type it again.") from None
