"""What an app adds to an answer by HTTP/2: metadata of a call, headers, trailers. A bad one is its own fault, and harms no other."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import Any

import grpc
import h2.connection
import h2.events
import pytest
from h2.config import H2Configuration

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.fixtures import server_fixture
from tests.tools.rpc import SERVICE
from tests.tools.serving import Server, wait_until

server = server_fixture(app="tests.apps.own_calls:app")
SECONDS = 15
BAD = [{"Upper": "x"}, {"line": "a\r\nb"}, {"grpc-status": "0"}, {"connection": "close"}, {"é": "x"}, {"number": 7}]


def write(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def event(value: Any) -> pb.PublishRequest:
    return pb.PublishRequest(channel="a", json=json.dumps(value))


@pytest.mark.parametrize("metadata", BAD)
def test_bad_metadata_is_an_error_of_the_app_and_the_connection_goes_on(
    server: Server, metadata: dict[str, Any]
) -> None:
    before = server.log.count("ValueError")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        fail = channel.unary_unary(f"{SERVICE}Publish", write, pb.PublishResponse.FromString)
        count = channel.stream_unary(f"{SERVICE}PublishStream", write, pb.PublishStreamResponse.FromString)
        subscribe = channel.unary_stream(f"{SERVICE}Subscribe", write, pb.SubscribeResponse.FromString)
        beside = subscribe(pb.SubscribeRequest(), timeout=SECONDS)
        assert next(beside).HasField("connected")
        for call in (
            lambda: fail(event(metadata), timeout=SECONDS),
            lambda: count(iter([event(metadata), event(None)]), timeout=SECONDS),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert caught.value.details() == "The server failed. Its log says why."
        assert count(iter([event(0)]), timeout=SECONDS).events == 1
        assert not beside.done()
        beside.cancel()
    wait_until(lambda: server.log.count("ValueError") >= before + 2, 5, "both tracebacks in the log")


def test_metadata_comes_with_the_code(server: Server) -> None:
    told = {"why": "it is not here", "empty": "", "data-bin": "AAEC"}
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        fail = channel.unary_unary(f"{SERVICE}Publish", write, pb.PublishResponse.FromString)
        with pytest.raises(grpc.RpcError) as caught:
            fail(event(told), timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert dict(caught.value.trailing_metadata()) == told | {"data-bin": b"\0\1\2"}


class Client:
    """One connection, whose peer must keep to HTTP/2."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._h2 = h2.connection.H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()

    def post(self, path: str, data: Any) -> dict[str, str] | int:
        """Return the headers and trailers of an answer, or the code of its reset."""
        stream, told = self._h2.get_next_available_stream_id(), {}
        about = {":method": "POST", ":path": path, ":scheme": "http", ":authority": "localhost"}
        self._h2.send_headers(stream, list(about.items()))
        self._h2.send_data(stream, json.dumps(data).encode(), end_stream=True)
        while True:
            self._sock.sendall(self._h2.data_to_send())
            received = self._sock.recv(65536)
            assert received, "the connection has ended"
            for each in self._h2.receive_data(received):
                assert not isinstance(each, h2.events.ConnectionTerminated)
                if isinstance(each, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    told |= {str(name): str(value) for name, value in each.headers or ()}
                elif isinstance(each, h2.events.StreamReset) and each.stream_id == stream:
                    return int(each.error_code)
                elif isinstance(each, h2.events.StreamEnded):
                    return told


def test_headers_keep_to_http_2(server: Server) -> None:
    of_connection = {"Connection": "close", "Upgrade": "websocket", "Proxy-Connection": "close", "Keep-Alive": "1"}
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
        client = Client(sock)
        told = client.post("/headers", of_connection | {"X-Upper": "Value", "Transfer-Encoding": "chunked"})
        assert isinstance(told, dict)
        assert (told[":status"], told["x-upper"]) == ("200", "Value")
        assert not {name.lower() for name in of_connection} & set(told)
        told = client.post("/headers", {"text": "é".encode().decode("latin-1")})  # as WSGI has it
        assert isinstance(told, dict) and told["text"] == "é"
        bad: dict[str, str]
        for bad in ({"a b": "x"}, {":path": "/"}):
            assert client.post("/headers", bad) == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert client.post("/headers", {})


def test_trailers_keep_to_http_2(server: Server) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
        client = Client(sock)
        told = client.post("/trailers", {"X-Sum": "7"})
        assert isinstance(told, dict) and told["x-sum"] == "7"
        for bad in ({"a b": "x"}, {":status": "200"}, {"a": "b\r\nc"}, {"": "x"}, {"a": "ł"}):
            assert client.post("/trailers", bad) == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert client.post("/trailers", {"x": "y"})
    assert "Traceback" in server.log
