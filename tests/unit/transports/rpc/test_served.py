"""What a client sends after the handler of its call has returned: handed on in order, and not read before it is wanted."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, request
from gevent.event import Event as Flag

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.rpc.dialect import OF_STREAMS, envelope
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.flask_simulcast.transports.kept_request import KeptRequest
from app.flask_simulcast.transports.rpc import Call, DuplexCall
from app.flask_simulcast.transports.rpc.served import Served

_SECONDS = 10


class FastClient:
    """Fills its window anew whenever it was read, until it has sent everything."""

    def __init__(self, windows: list[bytes]) -> None:
        self.windows = windows

    def receive_by(self, on_came: object) -> None:
        pass

    def received(self) -> bytes:
        return self.windows.pop(0) if self.windows else b""

    @property
    def is_received(self) -> bool:
        return not self.windows


class OpenCall:
    """A call, as the client's side of it sees it."""

    def __init__(self) -> None:
        self.ending: object = None
        self.has_ended = Flag()

    def close(self, reason: CloseReason) -> None:
        self.end_by(reason)

    def end_by(self, ending: object) -> None:
        self.ending = ending
        self.has_ended.set()

    def stop(self) -> None:
        pass


def test_a_client_that_is_faster_than_the_handler_fills_no_more_than_its_window() -> None:
    window = b"".join(envelope(pb.PublishRequest(channel=str(number)).SerializeToString()) for number in range(10))
    client, duplex, channels, held = FastClient([window] * 20), OpenCall(), [], []
    with Flask(__name__).test_request_context(method="POST"):
        call, kept = Call(request, OF_STREAMS["application/connect+proto"]), KeptRequest()

    def take(message: pb.PublishRequest) -> None:
        channels.append(message.channel)
        held.append(len(served._received))

    untold: Any = None
    served = Served(cast("DuplexCall", duplex), call, client, kept, 0, pb.PublishRequest, take, untold, untold)
    served.start()
    assert duplex.has_ended.wait(_SECONDS)
    served.closed()
    assert duplex.ending is CloseReason.FINISHED
    assert channels == [str(number) for number in range(10)] * 20
    assert max(held) < len(window)
