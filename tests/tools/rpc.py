"""A client of the RPC transport of which each byte is under control."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import Protocol, Self

import h2.connection
import h2.events
from google.protobuf.message import Message
from h2.config import H2Configuration

from app.flask_simulcast.encoding.rpc.dialect import HEAD, envelope
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb

SERVICE = "/simulcast.v1.StreamService/"
CONNECT, GRPC_WEB = "application/connect+proto", "application/grpc-web+proto"


class Listens(Protocol):
    """A server, or a relay before it."""

    port: int


class RpcCall:
    """One call: sends all of its request, and reads the answer envelope by envelope."""

    def __init__(
        self,
        server: Listens,
        method: str,
        body: bytes,
        content_type: str = CONNECT,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
        self._connection.request("POST", SERVICE + method, body, {"Content-Type": content_type} | (headers or {}))
        self.response = self._connection.getresponse()

    def envelopes(self) -> Iterator[tuple[int, bytes]]:
        """Flags and bytes of each envelope, until the body ends.

        Raises:
            http.client.IncompleteRead: It ends within an envelope.
        """
        while head := self._read(HEAD.size, or_nothing=True):
            flags, size = HEAD.unpack(head)
            yield flags, self._read(size)

    def _read(self, size: int, *, or_nothing: bool = False) -> bytes:
        data = self.response.read(size)
        if len(data) < size and not (or_nothing and not data):
            raise http.client.IncompleteRead(data, size - len(data))
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.response.close()
        self._connection.close()


def trailers_of_open_call(server: Listens, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    """Send some of a call by gRPC, hold the client's side open, and wait for the server's end; return its trailers. No timer but
    the server's."""
    connection = h2.connection.H2Connection(H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    about = {":method": "POST", ":path": path, ":scheme": "http", ":authority": "localhost"}
    about |= {"content-type": "application/grpc"} | {name.lower(): value for name, value in headers.items()}
    connection.send_headers(1, list(about.items()))
    connection.send_data(1, body)
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=15)) as sock:
        while True:
            sock.sendall(connection.data_to_send())
            for event in connection.receive_data(sock.recv(65536)):
                if isinstance(event, h2.events.TrailersReceived):
                    return {str(name): str(value) for name, value in event.headers or ()}


class Subscriber(RpcCall):
    """A call of ``Subscribe``.

    Attributes:
        end: Bytes of the last envelope, once it is there.
    """

    def __init__(
        self,
        server: Listens,
        *channels: str,
        last_event_id: str = "",
        content_type: str = CONNECT,
        replay: int | None = None,
    ) -> None:
        asked = pb.SubscribeRequest(channels=channels, last_event_id=last_event_id, replay=replay)
        super().__init__(server, "Subscribe", enveloped(asked), content_type)
        self.end = b""
        self._envelopes = self.envelopes()

    def next(self) -> pb.SubscribeResponse | None:
        """The next message; None at the end of the call.

        Raises:
            http.client.IncompleteRead: The response ends before the call does: it was cut in its head, too.
        """
        flags, data = next(self._envelopes, (None, b""))
        if flags is None:
            raise http.client.IncompleteRead(b"")
        if flags:
            self.end = data
            return None
        return pb.SubscribeResponse.FromString(data)

    def events(self, count: int) -> list[pb.Event]:
        """Read a number of events. Heartbeats are skipped."""
        found: list[pb.Event] = []
        while len(found) < count:
            message = self.next()
            assert message is not None, self.end
            if message.HasField("event"):
                found.append(message.event)
        return found


def enveloped(*messages: Message) -> bytes:
    """These messages as the body of a call."""
    return b"".join(envelope(message.SerializeToString()) for message in messages)
