"""The commands of a wukong: a fixed set with the arguments and the effect of each, never a shell.

The service refuses every command that is not in this set. The agent checks each command again, because it trusts no sender.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

MIN_INTERVAL_SECONDS = 0.2
MAX_INTERVAL_SECONDS = 60
MAX_PROCESSES = 50


class CommandError(Exception):
    """A command can't be carried out. ``code`` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Ping(Struct, forbid_unknown_fields=True):
    """Ask whether the wukong answers."""


class Status(Struct, forbid_unknown_fields=True):
    """Ask for the current figures."""


class Uptime(Struct, forbid_unknown_fields=True):
    """Ask for the uptime."""


class SetInterval(Struct, forbid_unknown_fields=True):
    """Set the seconds between two reports."""

    seconds: Annotated[float, Meta(ge=MIN_INTERVAL_SECONDS, le=MAX_INTERVAL_SECONDS)]


class Processes(Struct, forbid_unknown_fields=True):
    """Ask for the processes that use most."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PROCESSES)] = 10
    by: Literal["cpu", "memory"] = "cpu"


Command = Ping | Status | Uptime | SetInterval | Processes

COMMANDS: Mapping[str, type[Command]] = {
    "ping": Ping,
    "status": Status,
    "uptime": Uptime,
    "set_interval": SetInterval,
    "processes": Processes,
}


class Commanded(Protocol):
    """A wukong that carries out commands."""

    def status(self) -> dict[str, Any]:
        """Return the current figures."""

    def uptime(self) -> dict[str, Any]:
        """Return the seconds since the machine, and since the answering process, was started."""

    def set_interval(self, seconds: float) -> None:
        """Set the seconds between two reports."""

    def processes(self, limit: int, by: str) -> list[dict[str, Any]]:
        """Return the processes that use most ``cpu`` or ``memory``."""


def check(name: object, args: object) -> Command:
    """Return a command with its arguments checked.

    Raises:
        CommandError: ``unknown_command`` or ``invalid_args``.
    """
    if not isinstance(name, str) or name not in COMMANDS:
        raise CommandError("unknown_command", f"There is no command {str(name)[:64]!a}. Use {', '.join(COMMANDS)}.")
    try:
        return msgspec.convert(args, COMMANDS[name])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter for half a surrogate pair
        fields = ", ".join(COMMANDS[name].__struct_fields__) or "nothing"
        raise CommandError(
            "invalid_args", f"{str(error)[:200]}. {name} takes {fields}; docs/wukongs.md has the bounds."
        ) from None


def carry_out(command: Command, wukong: Commanded) -> dict[str, Any]:
    """Carry out a command and return its output. Takes as long as the wukong does.

    Raises:
        CommandError: This wukong can't carry it out.
    """
    match command:
        case Ping():
            return {"time": time.time_ns() // 1_000_000}
        case Status():
            return wukong.status()
        case Uptime():
            return wukong.uptime()
        case SetInterval(seconds=seconds):
            wukong.set_interval(seconds)
            return {"seconds": seconds}
        case Processes(limit=limit, by=by):
            return {"processes": wukong.processes(limit, by)}
