"""Dialects: the protocols that a client can speak, each with protobuf or JSON.

All of them but Connect's unary calls put each message into an envelope: a byte of flags, four of length. The same bytes
therefore serve all. What differs is the end of a call: Connect and gRPC-Web write it as a last envelope. So does gRPC here; the
HTTP/2 connection makes trailers of that one.

Source: Connect protocol reference; gRPC over HTTP/2; "gRPC Web" of the gRPC project.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from google.protobuf.message import Message

from .codec import JSON, PROTO, Codec
from .codes import CallError, Code

#: Bytes before each message: flags, and the length.
HEAD = struct.Struct(">BI")
#: Flag of an envelope whose message is compressed.
COMPRESSED = 0x01
_OK = CallError(Code.OK, "")
_CONNECT_END = 0x02
_TRAILERS = 0x80
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def envelope(data: bytes, flags: int = 0) -> bytes:
    """Return a message as it stands in a stream."""
    return HEAD.pack(flags, len(data)) + data


@dataclass(frozen=True)
class Protocol:
    """What differs between protocols.

    Attributes:
        name: For metrics and logs.
        end: Returns the last bytes of a call; None for one whose messages have no envelopes.
        compression: Header that names the compression of the request, as the WSGI environ has it.
        timeout: Header with the client's deadline, as the WSGI environ has it.
    """

    name: str
    end: Callable[[CallError], bytes] | None
    compression: str
    timeout: str


@dataclass(frozen=True)
class Dialect:
    """A protocol with a codec. Compared by identity, as there is one of each."""

    protocol: Protocol
    codec: Codec
    content_type: str

    def frame(self, message: Message) -> bytes:
        """Return a message in its envelope."""
        return envelope(self.codec.encode(message))

    @property
    def has_trailers(self) -> bool:
        """Whether its end is trailers of HTTP/2, which the connection makes of the last envelope."""
        return self.protocol is _GRPC

    def end(self, ending: CallError = _OK) -> bytes:
        """Return the last bytes of a call in envelopes."""
        assert self.protocol.end is not None
        return self.protocol.end(ending)


def error_json(error: CallError) -> dict[str, str]:
    """Return an error as Connect writes it."""
    return {"code": error.code.text, "message": str(error)}


def _end_of_connect(ending: CallError) -> bytes:
    end: dict[str, object] = {} if ending.code is Code.OK else {"error": error_json(ending)}
    if ending.metadata:
        end["metadata"] = {name: [value] for name, value in ending.metadata.items()}
    return envelope(json.dumps(end).encode(), _CONNECT_END)


def _trailers(ending: CallError) -> bytes:
    lines = {"grpc-status": str(ending.code.value)}
    if str(ending):  # percent-encoded, because it stands in a header
        lines["grpc-message"] = quote(str(ending), safe=_PRINTABLE, errors="replace")
    text = "".join(f"{name}: {value}\r\n" for name, value in (lines | dict(ending.metadata)).items())
    return envelope(text.encode(), _TRAILERS)


_UNARY = Protocol("connect", None, "HTTP_CONTENT_ENCODING", "HTTP_CONNECT_TIMEOUT_MS")
_CONNECT = Protocol("connect", _end_of_connect, "HTTP_CONNECT_CONTENT_ENCODING", "HTTP_CONNECT_TIMEOUT_MS")
_GRPC_WEB = Protocol("grpc-web", _trailers, "HTTP_GRPC_ENCODING", "HTTP_GRPC_TIMEOUT")
_GRPC = Protocol("grpc", _trailers, "HTTP_GRPC_ENCODING", "HTTP_GRPC_TIMEOUT")
_UNARY_DIALECTS = [Dialect(_UNARY, codec, f"application/{codec.name}") for codec in (PROTO, JSON)]
#: Dialects of streams, by content type.
OF_STREAMS = {
    content_type: Dialect(protocol, codec, content_type)
    for protocol, prefix in (
        (_CONNECT, "application/connect"),
        (_GRPC_WEB, "application/grpc-web"),
        (_GRPC, "application/grpc"),
    )
    for codec in (PROTO, JSON)
    for content_type in (f"{prefix}+{codec.name}",)
}
for _name in ("application/grpc-web", "application/grpc"):
    OF_STREAMS[_name] = OF_STREAMS[f"{_name}+proto"]
#: Dialects of unary calls, by content type.
OF_UNARY = {each.content_type: each for each in _UNARY_DIALECTS} | {
    name: each for name, each in OF_STREAMS.items() if each.protocol is not _CONNECT
}
