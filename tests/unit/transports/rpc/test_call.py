"""The messages of a call, where a client takes its time."""

from __future__ import annotations

import pytest
from flask import Request
from gevent.event import Event as Flag
from werkzeug.test import EnvironBuilder

from app.flask_simulcast.encoding.rpc.codes import CallError, Code
from app.flask_simulcast.encoding.rpc.dialect import OF_STREAMS
from app.flask_simulcast.loop import is_patched
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.flask_simulcast.transports.rpc import body
from app.flask_simulcast.transports.rpc.call import Call


class Silent:
    """The body of a client that sends some bytes, and then none."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    def read(self, size: int) -> bytes:
        sent, self._sent = self._sent[:size], self._sent[size:]
        if not sent:
            Flag().wait(30)
        return sent


@pytest.mark.skipif(not is_patched(), reason="a thread can't be woken")
@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\0\x02\n", b"\0\0\0\0\x00"])
def test_the_only_message_of_a_call_must_come_in_its_time(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends the head of its request alone held a place of the server for ever."""
    monkeypatch.setattr(body, "MESSAGE_SECONDS", 0.05)
    environ = EnvironBuilder(method="POST").get_environ() | {"wsgi.input": Silent(sent), "wsgi.input_terminated": True}
    call = Call(Request(environ), OF_STREAMS["application/grpc-web+proto"])
    with pytest.raises(CallError) as raised:
        call.message(pb.SubscribeRequest)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
