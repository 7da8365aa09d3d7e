"""Console: one WebSocket that watches a wukong and commands it. Statuses go out while messages are answered."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Annotated, Any

import gevent
import msgspec
from flask import Flask
from gevent.event import Event as Flag
from msgspec import Meta, Struct

from ...flask_simulcast import Connection, ConnectionClosedError, SimulcastError, client_input
from ...identity import requests as auth
from ...identity.sender import current_sender
from ...web import conversation as sockets
from ...web import limits, reads
from ...web.errors import ApiError
from . import commands, machine, service
from .command_set import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS
from .schemas import MAX_WAIT_SECONDS
from .throttle import Throttle

_MAX_HISTORY = 100
# Of one console at a time: each may wait for half a minute.
_MAX_COMMANDS = 4


class Ping(Struct, forbid_unknown_fields=True):
    """Is anybody there?"""


class Status(Struct, forbid_unknown_fields=True):
    """How is it now?"""


class SetInterval(Struct, forbid_unknown_fields=True):
    """Show me a status so often, at most. Of this console alone; the wukong has a command of this name."""

    seconds: Annotated[float, Meta(ge=MIN_INTERVAL_SECONDS, le=MAX_INTERVAL_SECONDS)]


class History(Struct, forbid_unknown_fields=True):
    """What were the last statuses?"""

    limit: Annotated[int, Meta(ge=1, le=_MAX_HISTORY)] = 10


class Command(Struct, forbid_unknown_fields=True):
    """Do something."""

    command: str
    args: dict[str, Any] = {}
    wait: Annotated[float, Meta(gt=0, le=MAX_WAIT_SECONDS)] = 10


KINDS: sockets.Kinds = {
    "ping": Ping,
    "status": Status,
    "set_interval": SetInterval,
    "history": History,
    "command": Command,
}


class Console:
    """One of them.

    Args:
        app: For commands, which wait beside the handler.
        ws: Its connection.
        name: Of the wukong, as it was asked for.
    """

    def __init__(self, app: Flask, ws: Connection, name: str) -> None:
        self._app = app
        self._ws = ws
        self._name = name
        self._commands = 0
        self._gone = Flag()
        self._throttle = Throttle(lambda status: sockets.say(ws, {"type": service.STATUS, "data": status}))

    def show(self, chunk: bytes) -> None:
        """What the hub has, as lines of NDJSON. Switches."""
        for line in chunk.splitlines():
            if line:
                self._show(json.loads(line))

    def answer(self, message: Struct, id: sockets.Id) -> sockets.Answer:
        """One message of the client. Switches.

        Returns:
            None for a command: its answer comes later, and others before it.
        """
        match message:
            case Ping():
                return {"type": "pong", "time": time.time_ns() // 1_000_000}
            case Status():
                return {"type": service.STATUS, "data": service.find_or_refuse(self._name)}
            case SetInterval(seconds=seconds):
                self._throttle.set(seconds)
                return {"type": "interval", "seconds": seconds}
            case History(limit=limit):
                return {"type": "history", "statuses": self._last(limit)}
            case Command():
                self._command(message, id)
        return None

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
            sockets.say(self._ws, {"type": type, "message": f"Connected to {self._name}", **about})
        else:
            sockets.say(self._ws, {"type": type, "data": data})

    def _last(self, limit: int) -> list[Any]:
        """The oldest first; fewer where they are large. Of this machine's own there are those of when somebody watched."""
        page = reads.history(service.channel_of(self._name), limit=limit)
        return [json.loads(event.data) for event in page.events if event.type == service.STATUS]

    def _command(self, message: Command, id: sockets.Id) -> None:
        """Its answer may take half a minute; what else is asked meanwhile is answered."""
        auth.require_publish([commands.channel_of(self._name)])
        if self._commands >= _MAX_COMMANDS:
            raise ApiError(
                429,
                "too_many_commands",
                f"{_MAX_COMMANDS} commands of this console wait already. Wait for one of them.",
            )
        limits.check_publish(1)
        self._commands += 1
        gevent.spawn(self._carry_out, message, id, current_sender())

    def _carry_out(self, message: Command, id: sockets.Id, sender: str) -> None:
        """If the console leaves meanwhile, the command was sent all the same, and its answer is in the log."""
        try:
            with self._app.app_context():
                reply = self._sent(message, sender)
            with suppress(ConnectionClosedError):  # the handler finds out by itself
                sockets.say(self._ws, reply, id)
        finally:
            self._commands -= 1

    def _sent(self, message: Command, sender: str) -> dict[str, Any]:
        try:
            with client_input():
                answer = commands.send(
                    self._name, message.command, message.args, message.wait, sender=sender, gone=self._gone
                )
        except (ApiError, SimulcastError) as error:
            return sockets.error_of(error)
        fields = msgspec.to_builtins(answer)
        return {"type": commands.RESULT, "command": message.command, "command_id": fields.pop("id"), **fields}
