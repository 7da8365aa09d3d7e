"""Calls of Connect and gRPC-Web against a real server: the same events, positions and rights as everything else there."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.flask_simulcast.encoding.rpc.codes import Code
from app.flask_simulcast.encoding.rpc.dialect import HEAD, envelope
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect
from tests.tools.require import require
from tests.tools.rpc import CONNECT, GRPC_WEB, SERVICE, RpcCall, Subscriber, enveloped
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until

server = server_fixture(app="tests.apps.inspected:app", rpc="1")
EVENT = pb.PublishRequest(channel="orders", type="created", json='{"id": 7}')
MIB = 1 << 20
PROTO = ROOT / "app" / "flask_simulcast" / "proto"


def unary(server: Server, body: Any, headers: dict[str, str] = BEARER, method: str = "Publish") -> tuple[int, Any]:
    status, _, answer = server.request("POST", SERVICE + method, body, {"Content-Type": "application/json"} | headers)
    return status, json.loads(answer or "null")


def test_an_event_is_published_by_a_plain_post(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=orders") as client:
        client.until("connected")
        status, answer = unary(server, {"channel": "orders", "type": "created", "json": '{"id": 7}'})
        (block,) = client.take(1, "created")
        assert (status, answer, block.json) == (200, {"id": block.position}, {"id": 7})


@pytest.mark.parametrize("content_type", [CONNECT, GRPC_WEB])
def test_a_client_goes_on_from_one_transport_to_another(server: Server, content_type: str) -> None:
    channel = f"moves-{len(content_type)}"
    first, second, third = server.publish(channel, 1, 2, {"of": "three"})
    with Subscriber(server, channel, last_event_id=first, content_type=content_type) as subscriber:
        connected = subscriber.next()
        assert connected is not None
        assert (connected.connected.id, list(connected.connected.channels)) == (first, [channel])
        events = subscriber.events(2)
        assert [(event.id, event.json) for event in events] == [(second, "2"), (third, '{"of":"three"}')]
        wait_until(lambda: inspect(server)["parked"] == 1, 5, "it to park")
        (fourth,) = server.publish(channel, "four")
        (event,) = subscriber.events(1)
        assert (event.id, event.channel, event.type, event.json) == (fourth, channel, "message", '"four"')
    with SSEClient(server.port, f"/api/v1/stream?channel={channel}", last_event_id=second) as client:
        assert [block.position for block in client.take(2, "message")] == [third, fourth]


def test_html_stays_text_and_a_position_that_is_none_is_a_gap(server: Server) -> None:
    unary(server, {"channel": "pages", "text": "<b>7</b>"})
    with Subscriber(server, "pages", last_event_id="nonsense", replay=1) as subscriber:
        gap = subscriber.next()
        assert gap is not None
        assert (gap.gap.reason, gap.gap.from_id) == ("invalid", "nonsense")
    with Subscriber(server, "pages", replay=1) as subscriber:
        assert [event.text for event in subscriber.events(1)] == ["<b>7</b>"]


def test_a_key_counts_for_its_sender_on_http_and_here(server: Server) -> None:
    event = {"channel": "keys", "data": 7, "idempotency_key": "k1"}
    _, _, first = server.request("POST", "/api/v1/events", event, BEARER)
    same = unary(server, {"channel": "keys", "json": "7", "idempotencyKey": "k1"})
    other = unary(server, {"channel": "keys", "json": "8", "idempotencyKey": "k1"})
    assert same == (200, {"id": json.loads(first)["positions"][0]})
    assert (other[0], other[1]["code"]) == (409, "already_exists")


def test_events_of_one_call_keep_their_order(server: Server) -> None:
    body = enveloped(*(pb.PublishRequest(channel="many", json=str(number)) for number in range(300)))
    with RpcCall(server, "PublishStream", body, GRPC_WEB, BEARER) as call:
        (_, data), (flags, end) = call.envelopes()
        answer = pb.PublishStreamResponse.FromString(data)
        assert (flags, end, answer.events) == (0x80, b"grpc-status: 0\r\n", 300)
    with Subscriber(server, "many", replay=300) as subscriber:
        events = subscriber.events(300)
        assert [int(event.json) for event in events] == list(range(300))
        assert events[-1].id == answer.last_id


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"channel": "orders", "json": "7"}, {}, "unauthenticated"),
        ({"channel": "orders", "json": "7"}, {"Authorization": "Bearer nonsense"}, "unauthenticated"),
        ({"channel": "or ders", "json": "7"}, BEARER, "invalid_argument"),
        ({"channel": "presence:x", "json": "7"}, BEARER, "permission_denied"),
        ({"channel": "orders", "json": "{"}, BEARER, "invalid_argument"),
        ({"channel": "orders", "json": "NaN"}, BEARER, "invalid_argument"),
        ({"channel": "orders", "json": "[" * 100_000}, BEARER, "invalid_argument"),
        ({"channel": "orders"}, BEARER, "invalid_argument"),
        ({"channel": "orders", "json": "7", "type": "a\nb"}, BEARER, "invalid_argument"),
        ({"channel": "orders", "json": json.dumps("x" * 70_000)}, BEARER, "resource_exhausted"),
        ({"channel": 7}, BEARER, "invalid_argument"),
        (b"\xff\xfe", BEARER, "invalid_argument"),
        (b" " * (4 * MIB + 1), BEARER, "resource_exhausted"),
        (gzip.compress(b" " * (4 * MIB + 1)), {"Content-Encoding": "gzip"} | BEARER, "resource_exhausted"),
        (gzip.compress(b"{}")[:-9], {"Content-Encoding": "gzip"} | BEARER, "invalid_argument"),
        (b"{}", {"Content-Encoding": "br"} | BEARER, "unimplemented"),
        (b"{}", {"Connect-Timeout-Ms": "0"} | BEARER, "deadline_exceeded"),
        (b"{}", {"Connect-Timeout-Ms": "soon"} | BEARER, "invalid_argument"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_not_be_used_has_its_code_and_the_connection_goes_on(
    server: Server, body: Any, headers: dict[str, str], code: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    good = EVENT.SerializeToString()
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=15)) as connection:
        connection.request("POST", SERVICE + "Publish", data, {"Content-Type": "application/json"} | headers)
        response = connection.getresponse()
        error = json.loads(response.read())
        assert error["code"] == code, error
        assert ". " in error["message"] and response.status not in (200, 500)
        connection.request("POST", SERVICE + "Publish", good, {"Content-Type": "application/proto"} | BEARER)
        assert connection.getresponse().read().startswith(b"\n")


@pytest.mark.parametrize(
    ("method", "body", "headers", "code"),
    [
        ("Subscribe", b"", {}, 12),
        ("Subscribe", enveloped(pb.SubscribeRequest(channels=["a"])) * 2, {}, 12),
        ("Subscribe", enveloped(pb.SubscribeRequest()), {}, 3),
        ("Subscribe", enveloped(pb.SubscribeRequest(channels=["a b"])), {}, 3),
        ("Subscribe", enveloped(pb.SubscribeRequest(channels=["user:else"])), {}, 16),
        ("Subscribe", enveloped(pb.SubscribeRequest(channels=["a"], last_event_id="end")), {}, 9),
        ("Subscribe", b"\xff" * 40, {}, 3),
        ("Subscribe", envelope(b"\xff" * 40), {}, 3),
        ("Subscribe", HEAD.pack(0, 100) + b"cut", {}, 3),
        ("Subscribe", HEAD.pack(0, 4 * MIB + 1), {}, 8),
        ("Subscribe", envelope(b"plain", 1), {}, 3),
        ("Subscribe", envelope(gzip.compress(bytes(5 * MIB)), 1), {"Grpc-Encoding": "gzip"}, 8),
        ("Subscribe", b"", {"Grpc-Timeout": "0n"}, 4),
        ("Subscribe", b"", {"Grpc-Timeout": "1 year"}, 3),
        ("Nothing", b"", {}, 12),
    ],
)
def test_a_stream_that_can_not_begin_ends_with_its_code(
    server: Server, method: str, body: bytes, headers: dict[str, str], code: int
) -> None:
    with RpcCall(server, method, body, GRPC_WEB, headers) as call:
        ((flags, end),) = call.envelopes()
        assert (call.response.status, flags) == (200, 0x80)
        assert end.startswith(f"grpc-status: {code}\r\ngrpc-message: ".encode())
    assert inspect(server)["listeners"] == 0


@pytest.mark.parametrize(
    ("path", "content_type", "headers"),
    [
        ("/grpc.health.v1.Health/Check", "application/json", {}),
        ("/grpc.health.v1.Health/Watch", "application/connect+json", {}),
        (f"{SERVICE}Subscribe", "application/connect+json", {}),
        (f"{SERVICE}Publish", "application/json", BEARER),
        ("/wukongs.v1.WukongService/Get", "application/json", {}),
        ("/wukongs.v1.WukongService/List", "application/connect+json", {}),
    ],
)
def test_a_message_that_is_larger_than_its_call_can_use_is_not_read(
    server: Server, path: str, content_type: str, headers: dict[str, str]
) -> None:
    """Anyone may ask for the health, and 4 MB of numbers hold the worker for a quarter of a second."""
    data = b'{"x": [' + b"1," * (150 << 10) + b"1]}"
    body = data if content_type == "application/json" else envelope(data)
    _, _, answer = server.request("POST", path, body, {"Content-Type": content_type} | headers)
    assert b'"resource_exhausted"' in answer and b"which is the limit" in answer


def test_data_is_not_parsed_before_a_look_at_its_size(server: Server) -> None:
    json_text = "[" + "1," * (70 << 10) + "1]"
    status, error = unary(server, {"channel": "orders", "json": json_text})
    assert (status, error["code"]) == (429, "resource_exhausted")
    assert "characters of data" in error["message"]


def test_other_bodies_are_told_what_is_spoken_here(server: Server) -> None:
    status, headers, _ = server.request("POST", SERVICE + "Subscribe", b"{}", {"Content-Type": "application/json"})
    assert status == 415 and "application/connect+json" in headers["accept-post"]
    assert server.request("GET", SERVICE + "Publish")[0] == 405


def test_a_worker_that_stops_says_so_to_parked_calls(tmp_path: Path) -> None:
    with (
        serve(tmp_path, rpc="1") as server,
        Subscriber(server, "a") as one,
        Subscriber(server, "a", content_type=GRPC_WEB) as two,
    ):
        assert one.next() and two.next()
        server.signal(signal.SIGTERM)
        assert one.next() is None and two.next() is None
        assert json.loads(one.end)["error"]["code"] == "unavailable"
        assert two.end.startswith(b"grpc-status: 14\r\ngrpc-message: This worker is about to stop.")


def test_connect_web_publishes_listens_and_is_refused(server: Server, tmp_path: Path) -> None:
    node, folder = require("node", shutil.which("node")), ROOT / "tests" / "parsers"
    require("connect-web", next(map(str, folder.glob("node_modules/@connectrpc/connect-web")), None))
    descriptors = tmp_path / "descriptors"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTO), "--include_imports"]
    subprocess.run([*protoc, f"--descriptor_set_out={descriptors}", pb.DESCRIPTOR.name], check=True, timeout=60)
    url = f"http://127.0.0.1:{server.port}"
    command = [node, str(folder / "rpc.mjs"), url, str(descriptors), BEARER["Authorization"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted(found) == ["connect-json", "connect-proto", "grpc-web-json", "grpc-web-proto"]
    for told in found.values():
        assert told == {
            "kinds": ["connected", "event", "event", "event"],
            "data": ["0", "1", "2"],
            "code": Code.UNAUTHENTICATED,
            "late": Code.DEADLINE_EXCEEDED,
        }


@pytest.mark.parametrize("protocol", ["connect", "grpcweb"])
def test_buf_curl_publishes_and_listens(server: Server, protocol: str) -> None:
    buf = require("buf", next(map(str, (ROOT / ".venv" / "bin").glob("buf")), None))
    command = [buf, "curl", "--protocol", protocol, "--schema", str(PROTO), "-d", "@-"]
    url = f"http://127.0.0.1:{server.port}{SERVICE}"
    given = '{"channel":"buf","json":"1"}{"channel":"buf","text":"two"}'
    key = ["-H", f"Authorization: {BEARER['Authorization']}"]
    done = subprocess.run(
        [*command, *key, f"{url}PublishStream"], check=False, input=given, capture_output=True, text=True, timeout=30
    )
    assert json.loads(done.stdout)["events"] == "2", done.stderr
    with subprocess.Popen(
        [*command, f"{url}Subscribe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as listening:
        assert listening.stdin is not None and listening.stdout is not None
        listening.stdin.write('{"channels":["buf"],"replay":2}')
        listening.stdin.close()
        text = ""
        while '"two"' not in text:
            line = listening.stdout.readline()
            assert line, text
            text += line
        listening.terminate()
    assert '"json": "1"' in text
