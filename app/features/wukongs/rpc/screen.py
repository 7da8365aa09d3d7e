"""Screen: a call of ``Console``, as the console sees its WebSocket: it receives commands as JSON text, and sends JSON text."""

from __future__ import annotations

import json
from typing import Any

from flask import current_app
from google.protobuf.json_format import MessageToDict

from ....extensions import simulcast
from ....flask_simulcast.rpc import DuplexCall
from .. import access, service
from ..console import Console
from ..proto.wukongs.v1 import wukong_pb2 as pb
from .messages import as_json, wukong


class Screen:
    """One call.

    Args:
        duplex: The call.
        deadline: Of its client.
    """

    def __init__(self, duplex: DuplexCall, deadline: float | None) -> None:
        self._duplex = duplex
        self._deadline = deadline
        self._console: Console | None = None

    def take(self, asked: pb.ConsoleRequest) -> None:
        """Take one message of the client; the first one names the wukong, and may carry a command. Switches.

        Raises:
            ConnectionClosedError: The call has ended.
            SimulcastError, ApiError: The grant does not name this wukong, or there is none of this name.
        """
        is_first = self._console is None
        console = self._console or self._open(asked.name)
        if not is_first or asked.WhichOneof("message"):
            console.answer(_command_of(asked))

    def _open(self, name: str) -> Console:
        access.WATCH.require({"name": name})
        service.find_or_refuse(name)
        self._console = shown = Console(current_app._get_current_object(), self, name)  # type: ignore[attr-defined]
        simulcast.subscribe(
            self._duplex, service.channel_of(name), send=shown.show, deadline=self._deadline, **shown.options
        ).start()
        return shown

    def close(self) -> None:
        """Stop what the console does."""
        if self._console is not None:
            self._console.close()

    def send(self, text: str) -> None:
        """Send a message of the console. May switch.

        Raises:
            ConnectionClosedError: The call has ended.
        """
        self._duplex.send(_response(json.loads(text)))


def _command_of(request: pb.ConsoleRequest) -> str:
    kind = request.WhichOneof("message") or ""
    fields: dict[str, Any] = MessageToDict(getattr(request, kind), preserving_proto_field_name=True) if kind else {}
    if kind == "command":
        fields["args"] = _object(request.command.args)
    return json.dumps({"type": kind, "id": request.id, **fields})


def _object(text: str) -> Any:
    """Return the value of a JSON text; a text that is none is no object, which the console refuses."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text


def _response(message: dict[str, Any]) -> pb.ConsoleResponse:
    kind = message["type"]
    if kind == "connected":
        return pb.ConsoleResponse(connected=pb.Connected(listener=message["listener"]))
    if kind == "status":
        return pb.ConsoleResponse(status=wukong(message["data"]))
    if kind == "error":
        error = pb.Error(code=message["code"], message=message["message"])
        return pb.ConsoleResponse(reply=pb.Reply(id=str(message["id"] or ""), error=error))
    if kind == "reply":
        return pb.ConsoleResponse(reply=pb.Reply(id=str(message["id"]), result=as_json(message["result"])))
    return pb.ConsoleResponse(notice=pb.Notice(type=kind, data=as_json(message["data"])))
