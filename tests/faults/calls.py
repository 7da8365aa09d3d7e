"""Listeners and publishers of a run that speak RPC: gRPC by grpcio, Connect by a client of ours."""

from __future__ import annotations

import http.client
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import grpc

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.faults.checker import Chain, History, Outcome
from tests.faults.generator import Publisher, gap_of
from tests.tools.rpc import SERVICE, Listens, Subscriber
from tests.tools.serving import BEARER

_PAUSE_SECONDS = 0.02
_TIMEOUT_SECONDS = 5
# grpcio waits for seconds before it connects again; a test does not.
_SOON = [(f"grpc.{name}_reconnect_backoff_ms", 50) for name in ("initial", "max")]
_BROKEN = (OSError, http.client.HTTPException)


class Caller(threading.Thread, ABC):
    """One listener that calls ``Subscribe`` again, with its last id, as often as its call ends."""

    def __init__(self, history: History, channel: str) -> None:
        super().__init__(daemon=True)
        self.chain = Chain((channel,))
        history.chains.append(self.chain)
        self._last_id = ""
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            self.chain.connects += 1
            for message in self.messages(self.chain.channels[0], self._last_id):
                self._take(message)

    @abstractmethod
    def messages(self, channel: str, last_id: str) -> Iterator[pb.SubscribeResponse]:
        """Return the messages of one call, until it ends in whatever way."""

    def stop(self) -> None:
        """Stop calling. The last call ends with the server."""
        self._is_over.set()

    def _take(self, message: pb.SubscribeResponse) -> None:
        chain, kind = self.chain, message.WhichOneof("message")
        if kind == "event":
            chain.numbers.append(json.loads(message.event.json)["n"])
            chain.positions.append(message.event.id)
            self._last_id = message.event.id
        elif kind == "connected":
            chain.start = chain.start or message.connected.id
            self._last_id = self._last_id or message.connected.id
        elif kind == "heartbeat":
            self._last_id = message.heartbeat.id or self._last_id
        elif kind == "gap":
            gap = message.gap
            told = {"channels": list(gap.channels), "reason": gap.reason, "from": gap.from_id, "to": gap.to_id}
            chain.gaps.append(gap_of(told, len(chain.numbers)))


class GrpcCaller(Caller):
    """Calls by gRPC, on a connection that it shares with others."""

    def __init__(self, history: History, channel: str, connection: grpc.Channel) -> None:
        super().__init__(history, channel)
        self._subscribe = connection.unary_stream(
            f"{SERVICE}Subscribe", pb.SubscribeRequest.SerializeToString, pb.SubscribeResponse.FromString
        )

    def messages(self, channel: str, last_id: str) -> Iterator[pb.SubscribeResponse]:
        try:
            yield from self._subscribe(pb.SubscribeRequest(channels=[channel], last_event_id=last_id))
        except grpc.RpcError as error:
            assert error.code() in _ENDS, error


class ConnectCaller(Caller):
    """Calls by Connect, each on a connection of its own, in HTTP/1.1."""

    def __init__(self, history: History, channel: str, server: Listens) -> None:
        super().__init__(history, channel)
        self._server = server

    def messages(self, channel: str, last_id: str) -> Iterator[pb.SubscribeResponse]:
        try:
            with Subscriber(self._server, channel, last_event_id=last_id) as call:
                while message := call.next():
                    yield message
        except _BROKEN:
            return


class GrpcPublisher(Publisher):
    """Publishes one event a call, each with its key, until it is stored."""

    def __init__(self, history: History, connection: grpc.Channel, channels: Sequence[str], total: int) -> None:
        super().__init__(history, [0], channels, batch=1, total=total)
        self._send = connection.unary_unary(f"{SERVICE}Publish", None, pb.PublishResponse.FromString)

    def _body(self, numbers: range, channels: list[str]) -> bytes:
        (number,), (channel,) = numbers, channels
        event = pb.PublishRequest(channel=channel, json=f'{{"n":{number}}}', idempotency_key=str(number))
        return event.SerializeToString()

    def _post(self, body: bytes) -> tuple[Outcome, list[str]]:
        metadata = [("authorization", BEARER["Authorization"])]
        try:
            return Outcome.STORED, [self._send(body, metadata=metadata, timeout=_TIMEOUT_SECONDS).id]
        except grpc.RpcError as error:
            assert error.code() in _ENDS, error
            return Outcome.UNCERTAIN, []


_ENDS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


def connection_to(server: Listens) -> grpc.Channel:
    """Return a connection of grpcio that comes back soon, and shares nothing with others."""
    return grpc.insecure_channel(f"127.0.0.1:{server.port}", [*_SOON, ("grpc.use_local_subchannel_pool", 1)])
