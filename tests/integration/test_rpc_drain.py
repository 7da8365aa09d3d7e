"""A worker that stops tells the calls on which nothing happens: each has a status of its own, and what it has stored."""

from __future__ import annotations

import http.client
import json
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from operator import methodcaller
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
import pytest
from google.protobuf.message import Message

from app.features.wukongs.proto.wukongs.v1 import wukong_pb2 as wukongs
from app.flask_simulcast.encoding.rpc.dialect import HEAD
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.flask_simulcast.rpc.of_grpc import MESSAGES
from tests.tools.clients import SSEClient
from tests.tools.rpc import CONNECT, GRPC_WEB, SERVICE, enveloped
from tests.tools.serving import BEARER, Server, serve, wait_until

WUKONGS = "/wukongs.v1.WukongService/"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
KEY = [("authorization", BEARER["Authorization"])]
OWN = "tests.apps.own_calls:app"
SECONDS = 15
# Of SIMULCAST_DRAIN_SECONDS, after which the worker cuts connections. A status that comes by itself comes long before.
GRACE_SECONDS = 10
M = TypeVar("M", bound=Message)


class Sender(Generic[M]):
    """The messages of one client, which stay open after the last one."""

    def __init__(self, *messages: M) -> None:
        self._messages: queue.SimpleQueue[M | None] = queue.SimpleQueue()
        for message in messages:
            self.send(message)

    def send(self, message: M | None) -> None:
        """Send a message; None ends the client's side."""
        self._messages.put(message)

    def __iter__(self) -> Iterator[M]:
        return iter(self._messages.get, None)  # type: ignore[arg-type]


def write(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def event(value: Any, channel: str = "a") -> pb.PublishRequest:
    return pb.PublishRequest(channel=channel, json=json.dumps(value))


def stored(channel: grpc.Channel, sender: Sender[pb.PublishRequest]) -> Any:
    make = channel.stream_unary(f"{SERVICE}PublishStream", write, pb.PublishStreamResponse.FromString)
    return make.future(iter(sender), metadata=KEY, timeout=SECONDS)


def told_of_stop(call: Any, wait: Callable[[Any], object] = list) -> dict[str, str]:
    """Wait for the end of a call, which is the worker's goodbye. Return its trailing metadata.

    Args:
        wait: Returns at the end of the call.
    """
    with pytest.raises(grpc.RpcError):
        wait(call)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert call.details().startswith("This worker is about to stop."), call.details()
    return dict(call.trailing_metadata())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_idle_call_has_a_status_of_its_own(tmp_path: Path, number: signal.Signals) -> None:
    options = {"rpc": "1", "http2": "1", "rpc_reflection": "1", "drain_seconds": GRACE_SECONDS}
    with serve(tmp_path, **options) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with SSEClient(server.port, "/api/v1/stream?channel=a") as listener:
            listener.until("connected")
            publishing = stored(channel, Sender(event(1), event(2)))
            published = [block.id for block in listener.take(2, "message")]
            listener.close()
        report = channel.stream_unary(f"{WUKONGS}Report", write, wukongs.ReportResponse.FromString)
        reports = Sender(wukongs.ReportRequest(name="web", data="{}", interval_seconds=5))
        reporting = report.future(iter(reports), metadata=KEY, timeout=SECONDS)
        wait_until(lambda: server.request("GET", "/api/v1/wukongs/web", None, BEARER)[0] == 200, 5, "the report")
        ask = channel.stream_stream(f"{WUKONGS}Console", write, wukongs.ConsoleResponse.FromString)
        console = ask(iter(Sender(wukongs.ConsoleRequest(name="web"))), metadata=KEY, timeout=SECONDS)
        assert next(console).connected.listener
        reflect = channel.stream_stream(
            REFLECTION, write, MESSAGES["grpc.reflection.v1.ServerReflectionResponse"].FromString
        )
        question = MESSAGES["grpc.reflection.v1.ServerReflectionRequest"](list_services="")
        reflection = reflect(iter(Sender(question)), timeout=SECONDS)
        assert next(reflection).list_services_response.service
        empty = reflect(iter(Sender()), timeout=SECONDS)
        assert empty.initial_metadata()  # the server has it, although the client has said nothing yet
        began = time.monotonic()
        server.signal(number)
        told = told_of_stop(publishing, methodcaller("result"))
        assert (told["simulcast-stored-events"], told["simulcast-stored-last-id"]) == ("2", published[-1])
        assert told_of_stop(reporting, methodcaller("result"))["simulcast-stored-reports"] == "1"
        for call in (console, reflection, empty):
            told_of_stop(call)
        assert time.monotonic() - began < GRACE_SECONDS / 2
        if number is not signal.SIGHUP:
            server.process.wait(SECONDS)
    assert "Traceback" not in server.log


def test_what_is_being_stored_is_told(tmp_path: Path) -> None:
    """An event that the function has begins before the end of the call, and one that waits behind it is not handled."""
    with (
        serve(tmp_path, app=OWN, drain_seconds=GRACE_SECONDS) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        sender, finishing = Sender(event(0), event(1.5), event(0)), Sender(event(1.5))
        counting, whole = stored(channel, sender), stored(channel, finishing)
        finishing.send(None)
        connect = channel.stream_stream(f"{SERVICE}Connect", write, pb.ConnectResponse.FromString)
        talk = connect(iter(Sender(pb.ConnectRequest(id="0"), pb.ConnectRequest(id="1.5"))), timeout=SECONDS)
        assert next(talk).reply.id == "0"
        server.signal(signal.SIGTERM)
        assert next(talk).reply.id == "1.5"
        told_of_stop(talk)
        assert told_of_stop(counting, methodcaller("result"))["counted"] == "2"
        assert whole.result().events == 1


def test_what_takes_longer_than_the_grace_is_told_as_well(tmp_path: Path) -> None:
    with (
        serve(tmp_path, app=OWN, drain_seconds=2) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        connect = channel.stream_stream(f"{SERVICE}Connect", write, pb.ConnectResponse.FromString)
        talk = connect(iter(Sender(pb.ConnectRequest(id="0"), pb.ConnectRequest(id="60"))), timeout=SECONDS)
        assert next(talk).reply.id == "0"
        counting = stored(channel, Sender(event(0), event(60)))
        subscribe = channel.unary_stream(f"{SERVICE}Subscribe", write, pb.SubscribeResponse.FromString)
        endless, short = (subscribe(pb.SubscribeRequest(replay=seconds), timeout=SECONDS) for seconds in (0, 1))
        assert next(endless).connected.id == next(short).connected.id == "first"
        server.signal(signal.SIGTERM)
        assert [message.connected.id for message in short] == ["last"]
        for call in (talk, endless):
            told_of_stop(call)
        assert told_of_stop(counting, methodcaller("result"))["counted"] == "1"


class OpenRequest:
    """A call over HTTP/1.1 whose client goes on sending, in chunks."""

    def __init__(self, server: Server, content_type: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        self.connection.putrequest("POST", f"{SERVICE}PublishStream")
        for name, value in {"Content-Type": content_type, "Transfer-Encoding": "chunked", **BEARER}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def send(self, data: bytes) -> None:
        self.connection.send(b"%x\r\n%s\r\n" % (len(data), data))


def end_of_connect(data: bytes) -> tuple[str, str]:
    end = json.loads(data)
    assert end["error"]["message"].startswith("This worker is about to stop.")
    return end["error"]["code"], end["metadata"]["simulcast-stored-events"][0]


def end_of_grpc_web(data: bytes) -> tuple[str, str]:
    end = dict(line.split(": ", 1) for line in data.decode().splitlines())
    assert end["grpc-message"].startswith("This worker is about to stop.")
    return end["grpc-status"], end["simulcast-stored-events"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("content_type", "read", "code"), [(CONNECT, end_of_connect, "unavailable"), (GRPC_WEB, end_of_grpc_web, "14")]
)
def test_http_1_is_told_as_well(
    tmp_path: Path, number: signal.Signals, content_type: str, read: Callable[[bytes], tuple[str, str]], code: str
) -> None:
    with serve(tmp_path, rpc="1", http2="1", drain_seconds=GRACE_SECONDS) as server:
        call = OpenRequest(server, content_type)
        with closing(call.connection), SSEClient(server.port, "/api/v1/stream?channel=a") as listener:
            listener.until("connected")
            text = "x" * 2000  # gunicorn reads a kilobyte at least
            call.send(enveloped(event(text)))
            call.send(enveloped(event(text))[:-1])  # not whole, so it is not stored
            assert listener.take(1, "message")
            began = time.monotonic()
            server.signal(number)
            response = call.connection.getresponse()
            body = response.read()
            assert time.monotonic() - began < GRACE_SECONDS / 2
        assert read(body[HEAD.size :]) == (code, "1")
    assert "Traceback" not in server.log
