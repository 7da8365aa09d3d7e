"""Codecs: a message as bytes of protobuf, or of JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from .codes import CallError, Code

M = TypeVar("M", bound=Message)


class Codec(NamedTuple):
    """One way to write messages.

    Attributes:
        name: Its name in content types.
        encode: Turns a message into bytes.
        parse: Reads bytes into a message; raises an error of `_NOT_A_MESSAGE`.
    """

    name: str
    encode: Callable[[Message], bytes]
    parse: Callable[[bytes, Message], object]

    def decode(self, data: bytes, kind: type[M]) -> M:
        """Return the message that these bytes are.

        Raises:
            CallError: They are none.
        """
        message = kind()
        try:
            self.parse(data, message)
        except _NOT_A_MESSAGE:
            raise CallError(
                Code.INVALID_ARGUMENT, f"The body is not a {kind.DESCRIPTOR.full_name} as {self.name}. Send one."
            ) from None
        return message


_NOT_A_MESSAGE = (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError)


def _encode_proto(message: Message) -> bytes:
    return message.SerializeToString()


def _parse_proto(data: bytes, message: Message) -> None:
    message.ParseFromString(data)


def _encode_json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None).encode()


def _parse_json(data: bytes, message: Message) -> None:
    json_format.Parse(data.decode(), message, ignore_unknown_fields=True)


PROTO = Codec("proto", _encode_proto, _parse_proto)
JSON = Codec("json", _encode_json, _parse_json)
