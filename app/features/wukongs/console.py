"""Console: one connection that watches a wukong and commands it. Statuses go out while messages are answered.

The connection is a WebSocket, or a call of RPC that looks like one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import gevent
import msgspec
from flask import Flask
from gevent.event import Event as Flag
from msgspec import Meta, Raw

from ...extensions import simulcast
from ...flask_simulcast import NDJSON, ConnectionClosedError, Event, SimulcastError, client_input
from ...identity.sender import current_sender
from ...web import limits, reads
from ...web.conversation import (
    MESSAGES,
    Command,
    Commands,
    Handlers,
    Message,
    Reply,
    Talker,
    answerer,
    error_of,
    pong,
    say,
)
from ...web.errors import ApiError
from . import access, commands, machine, service
from .command_set import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS
from .schemas import MAX_WAIT_SECONDS
from .throttle import Throttle

_MAX_HISTORY = 100
#: Of one console. Each message may cause a read of the log.
MESSAGES_PER_SECOND = 10
# Commands of one console at a time: each may wait for half a minute.
_MAX_COMMANDS = 4


class Ping(Command, tag="ping"):
    """Ask whether the service answers."""


class Status(Command, tag="status"):
    """Ask for the current status."""


class SetInterval(Command, tag="set_interval"):
    """Set the least seconds between two statuses on this console. The wukong has a separate command of this name."""

    seconds: Annotated[float, Meta(ge=MIN_INTERVAL_SECONDS, le=MAX_INTERVAL_SECONDS)]


class History(Command, tag="history"):
    """Ask for the last statuses."""

    limit: Annotated[int, Meta(ge=1, le=_MAX_HISTORY)] = 10


class RemoteCommand(Command, tag="command"):
    """Send the wukong a command."""

    command: str
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    wait: Annotated[float, Meta(gt=0, le=MAX_WAIT_SECONDS)] = 10


AnyCommand = Ping | Status | SetInterval | History | RemoteCommand
COMMANDS: Commands[AnyCommand] = Commands(AnyCommand, "docs/wukongs.md")


class Console:
    """One console. Close it at the end of its connection.

    Args:
        app: The app, for commands, which wait in greenlets of their own.
        ws: The connection.
        name: Name of the wukong, as the client gave it.
    """

    def __init__(self, app: Flask, ws: Talker, name: str) -> None:
        self._app = app
        self._ws = ws
        self._name = name
        self._waiting = 0
        self._gone = Flag()
        self._throttle = Throttle(lambda status: self._tell(service.STATUS, data=status))

    @property
    def options(self) -> dict[str, Any]:
        """The options of the stream of statuses: lines, not frames, because each console shows them at its own rate."""
        return {
            "encoding": NDJSON,
            "view": _shown,
            "snapshot": lambda: service.find(self._name),
            "snapshot_type": service.STATUS,
            "heartbeat_as_comment": True,
            "resume": None,  # the newest status is enough
        }

    def show(self, chunk: bytes) -> None:
        """Send the client a chunk of the hub, which has lines of NDJSON. Switches."""
        for line in chunk.splitlines():
            if line:
                self._show(json.loads(line))

    @property
    def answer(self) -> Callable[[str | bytes], None]:
        """A function that answers one message of the client."""
        return answerer(self._ws, COMMANDS, _HANDLERS, self)

    def close(self) -> None:
        """Stop showing statuses, and end all waits for answers."""
        self._gone.set()
        self._throttle.stop()

    def _show(self, event: dict[str, Any]) -> None:
        type, data = event["type"], event["data"]
        if type == service.STATUS:
            self._throttle.offer(data)
        elif type == "connected":
            about = {"name": machine.canonical(self._name), "listener": data["listener"]}
            self._tell(type, message=f"Connected to {self._name}", **about)
        else:
            self._tell(type, data=data)

    def _tell(self, type: str, **fields: Any) -> None:
        self._ws.send(json.dumps({"type": type, **fields}, separators=(",", ":")))

    def _status(self, _: Status) -> Raw:
        return _json(service.find_or_refuse(self._name))

    def _set_interval(self, command: SetInterval) -> Raw:
        self._throttle.set(command.seconds)
        return _json({"seconds": command.seconds})

    def _history(self, command: History) -> Raw:
        """Return the last statuses, the oldest first; fewer if they are large. Built-in wukongs have only those that were
        sampled while they had listeners."""
        page = reads.history(service.channel_of(self._name), limit=command.limit)
        return _json({"statuses": [json.loads(event.data) for event in page.events if event.type == service.STATUS]})

    def _command(self, command: RemoteCommand) -> None:
        """Send a command in a greenlet: its answer may take half a minute, and other messages are answered meanwhile."""
        simulcast.check_grant()  # it might have ended a moment ago, and the connection not yet
        access.COMMAND.require({"name": self._name})
        if self._waiting >= _MAX_COMMANDS:
            raise ApiError(
                429,
                "too_many_commands",
                f"{_MAX_COMMANDS} commands of this console wait already. Wait for one of them.",
            )
        limits.check_publish(1)
        self._waiting += 1
        gevent.spawn(self._carry_out, command, current_sender())

    def _carry_out(self, command: RemoteCommand, sender: str) -> None:
        """Send a command and show its answer. If the client leaves, the command is sent anyway; its answer is in the log."""
        try:
            with self._app.app_context():
                answer = self._sent(command, sender)
            with suppress(ConnectionClosedError):  # the handler finds out by itself
                say(self._ws, answer)
        finally:
            self._waiting -= 1

    def _sent(self, command: RemoteCommand, sender: str) -> Message:
        try:
            with client_input():
                answer = commands.send(
                    self._name, command.command, command.args, command.wait, sender=sender, gone=self._gone
                )
        except (ApiError, SimulcastError) as error:
            return error_of(error, command.id)
        return Reply(command.id, _json(msgspec.to_builtins(answer)))


_HANDLERS: Handlers[AnyCommand] = {
    Ping: pong,
    Status: Console._status,
    SetInterval: Console._set_interval,
    History: Console._history,
    RemoteCommand: Console._command,
}


def _shown(event: Event) -> Event | None:
    """Drop what a client would take for a message of the console itself. Pure."""
    return None if event.type in MESSAGES else service.own(event)


def _json(value: object) -> Raw:
    """Write a value as JSON. A wukong's text can have half a surrogate pair, which msgspec does not write."""
    return Raw(json.dumps(value, separators=(",", ":")))
