"""Wires: how the load client asks for a stream by each transport, and where its frames end. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

_SERVICE = "/simulcast.v1.StreamService/"
#: Paths of calls: one that listens, one that does both, one that publishes.
SUBSCRIBE, CONNECT, PUBLISH = _SERVICE + "Subscribe", _SERVICE + "Connect", _SERVICE + "Publish"
_ENVELOPE_HEAD = struct.Struct(">BI")
_MEDIA_TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "c2ltdWxjYXN0LWJlbmNoIQ==",  # any 16 bytes: they only guard against caches, and there is none
    "Sec-WebSocket-Version": "13",
}


def request(transport: str, path: str, channel: str, headers: dict[str, str]) -> bytes:
    """Return the HTTP/1.1 request that asks for a stream."""
    if transport in ("connect", "grpc-web"):
        body = subscribe(channel)
        about = {"Content-Type": f"application/{transport}+proto", "Content-Length": str(len(body))}
        return _head("POST", SUBSCRIBE, about | headers) + body
    about = _UPGRADE if transport == "websocket" else {"Accept": _MEDIA_TYPES[transport]}
    return _head("GET", path, about | headers)


def subscribe(channel: str) -> bytes:
    """Return the body of a call that listens to a channel."""
    message = pb.SubscribeRequest(channels=[channel]).SerializeToString()
    return _ENVELOPE_HEAD.pack(0, len(message)) + message


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{lines}\r\n".encode()


def _end_of_text(mark: bytes, data: bytes, most: int) -> int:
    """Find it where a mark ends each frame."""
    at = data.find(mark) if most == 1 else data.rfind(mark)
    return at + len(mark) if at >= 0 else 0


def _end_of_websocket(data: bytes, most: int) -> int:
    """Find it for frames of a server: unmasked, below 64 KiB."""
    end = 0
    while most and end + 2 <= len(data):
        size = data[end + 1]
        head = 2
        if size == 126:
            if end + 4 > len(data):
                break
            size = data[end + 2] << 8 | data[end + 3]
            head = 4
        if end + head + size > len(data):
            break
        end += head + size
        most -= 1
    return end


def _end_of_envelopes(data: bytes, most: int) -> int:
    """Find it for messages of RPC."""
    end = 0
    while most and end + _ENVELOPE_HEAD.size <= len(data):
        _, size = _ENVELOPE_HEAD.unpack_from(data, end)
        if end + _ENVELOPE_HEAD.size + size > len(data):
            break
        end += _ENVELOPE_HEAD.size + size
        most -= 1
    return end


#: By transport: returns the end of the last whole frame in bytes, after at most 1 frame, or after all.
END_OF_FRAMES: dict[str, Callable[[bytes, int], int]] = {
    "sse": partial(_end_of_text, b"\n\n"),
    "ndjson": partial(_end_of_text, b"\n"),
    "websocket": _end_of_websocket,
    "connect": _end_of_envelopes,
    "grpc-web": _end_of_envelopes,
    "grpc": _end_of_envelopes,
}
