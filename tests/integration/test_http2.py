"""gRPC over HTTP/2, by clients that others wrote: calls run side by side on one connection, and what floods it ends it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import grpc
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from h2.settings import SettingCodes

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.flood import flooding, others_are_served
from tests.tools.inspection import inspect
from tests.tools.nginx import make_certificate
from tests.tools.require import require
from tests.tools.rpc import CONNECT, GRPC_WEB, SERVICE, RpcCall, enveloped, trailers_of_open_call
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until

server = server_fixture(app="tests.apps.inspected:app", rpc="1", http2="1")
KEY = [("authorization", BEARER["Authorization"])]
HEADERS = [(":method", "POST"), (":path", f"{SERVICE}Subscribe"), (":scheme", "http"), (":authority", "localhost")]
LATE = {"Grpc-Timeout": "1S"}
SECONDS = 15
MOST = (1 << 31) - 1  # a window of HTTP/2
ANSWER, SETTINGS, PING, GOAWAY = 1, 4, 6, 7  # types of its frames


class Client:
    """The three calls, on one channel of grpcio: sync or asyncio."""

    def __init__(self, channel: Any) -> None:
        def write(message: Any) -> bytes:
            return bytes(message.SerializeToString())

        self.publish = channel.unary_unary(f"{SERVICE}Publish", write, pb.PublishResponse.FromString)
        self.publish_stream = channel.stream_unary(
            f"{SERVICE}PublishStream", write, pb.PublishStreamResponse.FromString
        )
        self.subscribe = channel.unary_stream(f"{SERVICE}Subscribe", write, pb.SubscribeResponse.FromString)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Client(channel)
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "all calls to end")


def listen(client: Client, *channels: str, **others: Any) -> Any:
    call = client.subscribe(pb.SubscribeRequest(channels=channels, **others), timeout=SECONDS)
    assert next(call).HasField("connected")
    return call


def parked(server: Server, count: int) -> None:
    wait_until(lambda: inspect(server)["parked"] == count, 5, f"{count} calls to park")


def test_calls_run_side_by_side_and_streams_need_no_greenlet(server: Server, client: Client) -> None:
    calls = [listen(client, "side") for _ in range(20)]
    parked(server, 20)
    first = client.publish(pb.PublishRequest(channel="side", json="1"), metadata=KEY, timeout=SECONDS)
    more = (pb.PublishRequest(channel="side", text=str(number)) for number in range(5))
    told = client.publish_stream(more, metadata=KEY, timeout=SECONDS)
    for call in calls:
        events = [next(call).event for _ in range(6)]
        assert [event.json or event.text for event in events] == ["1", "0", "1", "2", "3", "4"]
        assert (events[0].id, events[-1].id, told.events) == (first.id, told.last_id, 5)
    with SSEClient(server.port, "/api/v1/stream?channel=side", last_event_id=events[3].id) as sse:
        assert [block.position for block in sse.take(2, "message")] == [event.id for event in events[4:]]
    calls[0].cancel()
    parked(server, 19)


@pytest.mark.parametrize(
    ("event", "metadata", "code"),
    [
        (pb.PublishRequest(channel="a", json="1"), [], grpc.StatusCode.UNAUTHENTICATED),
        (pb.PublishRequest(channel="a"), KEY, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.PublishRequest(channel="all", json="1"), KEY, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.PublishRequest(channel="a", json=" " * (5 << 20)), KEY, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_refused_call_has_its_code_and_the_connection_goes_on(
    client: Client, event: pb.PublishRequest, metadata: Any, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.publish(event, metadata=metadata, timeout=SECONDS)
    assert (caught.value.code(), ". " in caught.value.details()) == (code, True)
    assert client.publish(pb.PublishRequest(channel="a", json="1"), metadata=KEY, timeout=SECONDS).id


def test_a_stream_of_events_that_fails_says_how_many_are_stored(client: Client) -> None:
    good = [pb.PublishRequest(channel="counted", json=str(number)) for number in range(3)]
    bad = pb.PublishRequest(channel="counted", json="{")
    with pytest.raises(grpc.RpcError) as caught:
        client.publish_stream(iter([*good, bad, *good]), metadata=KEY, timeout=SECONDS)
    told = dict(caught.value.trailing_metadata())
    call = listen(client, "counted", replay=10)
    events = [next(call).event for _ in range(3)]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (told["simulcast-stored-events"], told["simulcast-stored-last-id"]) == ("3", events[-1].id)
    call.cancel()


def test_a_deadline_ends_a_stream_on_the_server(server: Server) -> None:
    """The client's own timer is later than the one that it tells the server."""
    headers = {"Connect-Timeout-Ms": "300"} | BEARER
    body = enveloped(pb.SubscribeRequest(channels=["late"]))
    with RpcCall(server, "Subscribe", body, CONNECT, headers) as call:
        first, last = call.envelopes()
    assert pb.SubscribeResponse.FromString(first[1]).HasField("connected")
    assert json.loads(last[1])["error"]["code"] == "deadline_exceeded"
    with RpcCall(server, "Subscribe", body, GRPC_WEB, LATE) as call:
        _, last = call.envelopes()
    assert last[1].startswith(b"grpc-status: 4\r\n")


def test_a_deadline_ends_a_stream_of_a_client_that_has_gone_silent(server: Server) -> None:
    """It does not wait for the next message, and says what is stored."""
    event = enveloped(pb.PublishRequest(channel="silent", json="1"))
    for sent, stored in ((event, "1"), (event[:-1], "0")):
        told = trailers_of_open_call(server, SERVICE + "PublishStream", sent, BEARER | LATE)
        assert (told["grpc-status"], told["simulcast-stored-events"]) == ("4", stored)


@pytest.mark.parametrize(("path", "status"), [("/nothing.Service/Call", "12"), ("/healthz", "2")])
def test_an_answer_that_is_none_of_grpc_ends_a_call_with_trailers(server: Server, path: str, status: str) -> None:
    """Of one that ended with data, while the call went on, grpcio made an INTERNAL now and then."""
    assert trailers_of_open_call(server, path, b"", {})["grpc-status"] == status


def test_compressed_calls_are_read(client: Client) -> None:
    event = pb.PublishRequest(channel="a", json='"' + "x" * 5000 + '"')
    assert client.publish(event, metadata=KEY, compression=grpc.Compression.Gzip, timeout=SECONDS).id


def test_a_reader_that_stops_holds_up_no_other_and_misses_nothing(server: Server, client: Client) -> None:
    slow, quick = listen(client, "slow"), listen(client, "slow")
    text = "x" * 4000
    for start in range(0, 600, 100):
        server.publish("slow", *({"number": number, "text": text} for number in range(start, start + 100)))
    for call in (quick, slow):
        assert [json.loads(next(call).event.json)["number"] for _ in range(600)] == list(range(600))


def test_asyncio_takes_the_same_calls(server: Server) -> None:
    async def talk() -> list[str]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            client = Client(channel)
            call = client.subscribe(pb.SubscribeRequest(channels=["aio"]), timeout=SECONDS)
            await call.read()
            for number in range(3):
                await client.publish(pb.PublishRequest(channel="aio", json=str(number)), metadata=KEY)
            return [(await call.read()).event.json for _ in range(3)]

    assert asyncio.run(talk()) == ["0", "1", "2"]


def test_buf_curl_speaks_grpc(server: Server) -> None:
    buf = require("buf", next(map(str, (ROOT / ".venv" / "bin").glob("buf")), None))
    command = [
        buf,
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "--schema",
        f"{ROOT}/app/flask_simulcast/proto",
    ]
    done = subprocess.run(
        [
            *command,
            "-H",
            f"Authorization: {KEY[0][1]}",
            "-d",
            "@-",
            f"http://127.0.0.1:{server.port}{SERVICE}PublishStream",
        ],
        check=False,
        input='{"channel":"buf","json":"1"}{"channel":"buf","text":"two"}',
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert json.loads(done.stdout)["events"] == "2", done.stderr


def test_http_1_goes_on_beside_it_and_is_told_that_grpc_needs_the_other(server: Server) -> None:
    assert server.get_json("/healthz")["status"] == "ok"
    status, headers, _ = server.request("POST", f"{SERVICE}Publish", b"", {"Content-Type": "application/grpc"})
    assert (status, "application/grpc-web" in headers["accept-post"]) == (415, True)


def test_tls_offers_it(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    path = tmp_path / "sock"
    files = f"--certfile {tmp_path}/simulcast.crt --keyfile {tmp_path}/simulcast.key"
    trust = grpc.ssl_channel_credentials((tmp_path / "simulcast.crt").read_bytes())
    name = [("grpc.ssl_target_name_override", "localhost"), ("grpc.default_authority", "localhost")]
    with serve(tmp_path / "service", bind=f"unix:{path}", rpc="1", http2="1", GUNICORN_CMD_ARGS=files):
        with grpc.secure_channel(f"unix:{path}", trust, name) as channel:
            client = Client(channel)
            call = listen(client, "tls")
            client.publish(pb.PublishRequest(channel="tls", json="7"), metadata=KEY, timeout=SECONDS)
            assert next(call).event.json == "7"


def test_it_comes_through_the_door_of_a_stream_worker(tmp_path: Path) -> None:
    door = "-k app.flask_simulcast.gunicorn.StreamWorker"
    with serve(tmp_path, rpc="1", http2="1", GUNICORN_CMD_ARGS=door) as server:
        assert "No hot routes" not in server.log
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = listen(Client(channel), "door")
            server.publish("door", 7)
            assert next(call).event.json == "7"


def test_a_worker_that_stops_ends_its_calls_and_begins_no_others(tmp_path: Path) -> None:
    with serve(tmp_path, rpc="1", http2="1") as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        calls = [listen(Client(channel), "a") for _ in range(3)]
        server.signal(signal.SIGTERM)
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert caught.value.details().startswith("This worker is about to stop.")


@pytest.mark.parametrize("calls", [False, True])
def test_a_connection_that_begins_while_the_worker_stops_is_told_so_after_its_first_call_or_a_moment(
    tmp_path: Path, calls: bool
) -> None:
    """grpcio, which was told with the settings, tried its calls on that connection for ever."""
    late = {"app.flask_simulcast.gunicorn.http2.connections._PREFACE_SECONDS": SECONDS}
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.ping(bytes(8))
    said = client.data_to_send().removeprefix(preface)
    with serve(tmp_path, rpc="1", http2="1", constants=late) as server:
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
            sock.sendall(preface[:8])
            with SSEClient(server.port, "/api/v1/stream?channel=a") as listener:
                listener.until("connected")
                server.signal(signal.SIGTERM)
                listener.until("closed")
            sock.sendall(preface[8:] + said)
            reader = sock.makefile("rb")
            kinds = list(iter(lambda: kind_of_next(reader), PING))
            assert (kinds[0], GOAWAY in kinds) == (SETTINGS, False)
            if calls:
                client.send_headers(1, [*HEADERS, ("content-type", "application/grpc")], end_stream=True)
                sock.sendall(client.data_to_send())
            kinds = list(iter(lambda: kind_of_next(reader), None))
            assert (GOAWAY in kinds, ANSWER in kinds) == (True, calls)


def kind_of_next(reader: IO[bytes]) -> int | None:
    """Read a frame; return its type, or None at the end."""
    head = reader.read(9)
    reader.read(int.from_bytes(head[:3]))
    return head[3] if head else None


def test_a_peer_that_answers_no_ping_is_gone_and_others_stay(tmp_path: Path) -> None:
    soon = {"app.flask_simulcast.gunicorn.http2.connection._SILENT_SECONDS": 0.3}
    with serve(tmp_path, app="tests.apps.inspected:app", rpc="1", http2="1", constants=soon) as server:
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        connection.send_headers(1, [*HEADERS, ("content-type", "application/grpc")])
        connection.send_data(1, enveloped(pb.SubscribeRequest(channels=["a"])), end_stream=True)
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            alive = listen(Client(channel), "a")
            with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
                sock.sendall(connection.data_to_send())
                wait_until(lambda: inspect(server)["listeners"] == 2, 5, "both to listen")
                while _received(sock):
                    pass
            wait_until(lambda: inspect(server)["listeners"] == 1, 5, "one to be gone")
            server.publish("a", 7)
            assert next(alive).event.json == "7"


def test_the_worker_does_not_spin_for_a_client_that_resets_what_it_was_being_sent(server: Server) -> None:
    """A socket that is broken is ready to be written to at each turn of the loop."""
    server.publish("large", *("x" * 60_000 for _ in range(60)))
    connection = h2.connection.H2Connection()
    connection.local_settings = h2.settings.Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: MOST})
    connection.initiate_connection()
    connection.increment_flow_control_window(MOST - connection.inbound_flow_control_window)
    connection.send_headers(1, [*HEADERS, ("content-type", "application/grpc")])
    connection.send_data(1, enveloped(pb.SubscribeRequest(channels=["large"], replay=60)), end_stream=True)
    before = inspect(server)
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by RST
        sock.connect((server.host, server.port))
        sock.sendall(connection.data_to_send())
        assert sock.recv(64 << 10, socket.MSG_WAITALL)
        connection.ping(bytes(8))
        sock.sendall(connection.data_to_send())
        inspect(server)  # it reads the PING, so the writer, which began to wait before, is the first to find the end
    wait_until(lambda: inspect(server)["descriptors"] == before["descriptors"], 5, "the connection to be given up")
    assert inspect(server)["turns"] - before["turns"] < 1000


def test_a_client_that_takes_nothing_of_an_answer_loses_its_stream(tmp_path: Path) -> None:
    """Answers that nothing takes held a greenlet, and a place of the worker, for ever."""
    connection = h2.connection.H2Connection()
    connection.local_settings = h2.settings.Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    connection.initiate_connection()
    for stream in (1, 3):
        headers = [(":method", "GET"), (":path", "/openapi.json"), (":scheme", "http"), (":authority", "localhost")]
        connection.send_headers(stream, headers, end_stream=True)
    came: dict[int, int] = {}
    resets: list[h2.events.StreamReset] = []
    with (
        serve(tmp_path, http2="1", heartbeat_seconds=1, stall_seconds=2) as server,
        closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock,
    ):
        connection.increment_flow_control_window(100_000, stream_id=3)  # it takes a part
        sock.sendall(connection.data_to_send())
        while len(resets) < 2:
            for event in connection.receive_data(sock.recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    came[event.stream_id] = came.get(event.stream_id, 0) + len(event.data)
                elif isinstance(event, h2.events.StreamReset):
                    resets.append(event)
            sock.sendall(connection.data_to_send())
        assert (came, {reset.error_code for reset in resets}) == ({3: 65_535}, {h2.errors.ErrorCodes.CANCEL})
        assert server.get_json("/healthz")["status"] == "ok"


def test_a_client_is_told_at_once_how_many_calls_it_may_have(server: Server) -> None:
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
        sock.sendall(connection.data_to_send())
        told: list[h2.events.Event] = []
        while not any(isinstance(event, h2.events.RemoteSettingsChanged) for event in told):
            told += connection.receive_data(sock.recv(65536))
    assert connection.remote_settings.max_concurrent_streams == 1000


# What no client of good will sends


def resets(connection: h2.connection.H2Connection) -> bytes:
    for _ in range(600):
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, HEADERS)
        connection.reset_stream(stream)
    return connection.data_to_send()


def pings(connection: h2.connection.H2Connection) -> bytes:
    for number in range(1100):
        connection.ping(number.to_bytes(8, "big"))
    return connection.data_to_send()


def unknown(connection: h2.connection.H2Connection) -> bytes:
    return b"\x00\x00\x00\xfa\x00\x00\x00\x00\x00" * 1100


def continuations(connection: h2.connection.H2Connection) -> bytes:
    headers = b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
    return headers + b"\x00\x00\x01\x09\x00\x00\x00\x00\x01\x82" * 500


def garbage(connection: h2.connection.H2Connection) -> bytes:
    return b"\xff" * 20_000


@pytest.mark.parametrize(
    ("flood", "reason", "code"),
    [
        (resets, "resets", h2.errors.ErrorCodes.ENHANCE_YOUR_CALM),
        (pings, "control_frames", h2.errors.ErrorCodes.ENHANCE_YOUR_CALM),
        (unknown, "control_frames", h2.errors.ErrorCodes.ENHANCE_YOUR_CALM),
        (continuations, "protocol_error", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        (garbage, "protocol_error", h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    ],
)
def test_a_flood_ends_its_connection_and_is_counted(
    server: Server, flood: Callable[[h2.connection.H2Connection], bytes], reason: str, code: int
) -> None:
    name = f'simulcast_http2_refused_total{{reason="{reason}"}}'
    before = inspect(server)["metrics"].get(name, 0)
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
        sock.sendall(connection.data_to_send())
        sock.sendall(flood(connection))
        reader, ended = h2.connection.H2Connection(), None
        reader.initiate_connection()
        while data := _received(sock):
            for event in reader.receive_data(data):
                ended = event if isinstance(event, h2.events.ConnectionTerminated) else ended
    assert inspect(server)["metrics"].get(name, 0) == before + 1
    assert ended is not None and ended.error_code == code
    assert server.get_json("/healthz")["status"] == "ok"


def test_a_client_that_sends_frames_without_an_end_holds_up_no_other(server: Server) -> None:
    """Windows may be opened at any time. The worker read on for as long as frames were there, and answered nothing else."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    window_update = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)) as sock:
        sock.sendall(connection.data_to_send())
        with flooding(sock, window_update * 10_000):
            assert others_are_served(lambda: server.request("GET", "/healthz")[0])


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b""
