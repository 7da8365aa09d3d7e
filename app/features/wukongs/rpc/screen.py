"""Screen: a call of ``Console``, as the console sees its WebSocket: it receives commands as JSON text, and sends JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict

from ....flask_simulcast import ConnectionClosedError
from ....flask_simulcast.rpc import DuplexCall
from ..proto.wukongs.v1 import wukong_pb2 as pb
from .messages import as_json, wukong


class Screen:
    """One call.

    Args:
        duplex: The call.
        requests: Its messages. The first one has been read.
        first: That one; it may carry a command.
    """

    def __init__(self, duplex: DuplexCall, requests: Iterator[pb.ConsoleRequest], first: pb.ConsoleRequest) -> None:
        self._duplex = duplex
        self._requests = requests
        self._first: pb.ConsoleRequest | None = first if first.WhichOneof("message") else None

    def receive(self) -> str:
        """Return the next command, as a WebSocket has it. Switches.

        Raises:
            ConnectionClosedError: The client has ended its side, or the call has ended.
            CallError: A message can't be read.
        """
        request, self._first = self._first or next(self._requests, None), None
        if request is None:
            raise ConnectionClosedError(1000, "")
        return _command_of(request)

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
