"""Publishing and listening over HTTP; and nothing that a client sends makes a 500."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.flask_simulcast.errors import SettingError
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, KEY, Server, serve

NDJSON = BEARER | {"Content-Type": "application/x-ndjson"}


def post(server: Server, body: Any, headers: dict[str, str] = BEARER) -> tuple[int, Any]:
    status, _, answer = server.request("POST", "/api/v1/events", body, headers)
    return status, json.loads(answer)


def error_code(answer: Any) -> str:
    assert answer["error"].keys() == {"code", "message"}
    return str(answer["error"]["code"])


def test_one_an_array_and_lines_are_published_in_order(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=in") as client:
        client.until("connected")
        assert post(server, {"channel": "in", "data": 1})[0] == 201
        assert post(server, [{"channel": "in", "data": 2}, {"channel": "in", "data": None, "type": "tick"}])[0] == 201
        status, answer = post(server, b'{"channel":"in","data":4}\n\n{"channel":"in","data":"5"}\r\n', NDJSON)
        blocks = client.take(5)
        assert [block.json for block in blocks] == [1, 2, None, 4, "5"]
        assert [block.type for block in blocks] == ["message", "message", "tick", "message", "message"]
        assert (status, answer) == (201, {"positions": [block.id for block in blocks[3:]]})


def test_an_idempotency_key_makes_a_retry_the_same_event(server: Server) -> None:
    event = {"channel": "once", "data": 1, "idempotency_key": "order-7"}
    with SSEClient(server.port, "/api/v1/stream?channel=once") as client:
        client.until("connected")
        first, second = post(server, event), post(server, event)
        assert first == second
        post(server, {"channel": "once", "data": 2})
        assert [block.json for block in client.take(2)] == [1, 2]


def test_one_bad_event_rejects_the_batch_and_stores_nothing(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=batch") as client:
        client.until("connected")
        status, answer = post(server, [{"channel": "batch", "data": 1}, {"channel": "not good", "data": 2}])
        assert status == 400
        assert error_code(answer) == "channel_name"
        assert "Event 1" in answer["error"]["message"]
        assert "'not good'" in answer["error"]["message"]
        post(server, {"channel": "batch", "data": 3})
        assert client.next().json == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"\xff\xfe", 400, "not_json"),
        (b'{"channel":"a","data":NaN}', 400, "not_json"),
        (b'{"channel":"a","data":-Infinity}', 400, "not_json"),
        (b"[" * 100_000, 400, "invalid_event"),
        (b'{"channel":"a","data":' + b"[" * 100_000, 400, "not_json"),
        (b'{"channel":"a","data":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", 400, "not_json"),
        (b'{"channel":"a","data":' + b"[" * 900 + b"]" * 900 + b"}", 201, ""),
        (b'{"channel":"a","data":' + b"9" * 5000 + b"}", 400, "event_data"),
        (b'{"channel":"a","data":[1e999]}', 400, "event_data"),
        (b'{"channel":"a","data":123456789012345678901234567890}', 201, ""),
        (b'{"channel":"a","data":{"a":1,"a":2},"data":3}', 201, ""),
        (b'{"channel":"a","data":1}{', 400, "not_json"),
        (b"[]", 400, "no_events"),
        (b"7", 400, "invalid_event"),
        (b"null", 400, "invalid_event"),
        (b'{"data":1}', 400, "invalid_event"),
        (b'{"channel":"a"}', 400, "invalid_event"),
        (b'{"channel":"a","data":1,"chanel":2}', 400, "invalid_event"),
        (b'{"channel":"a","data":1,"\xed\xa0\x80":2}', 400, "not_json"),
        (b'{"channel":"a","data":1,"\\ud800":2}', 400, "invalid_event"),
        (b'{"channel":"","data":1}', 400, "channel_name"),
        (b'{"channel":7,"data":1}', 400, "channel_name"),
        (b'{"channel":"a b","data":1}', 400, "channel_name"),
        ('{"channel":"é","data":1}'.encode(), 400, "channel_name"),
        (b'{"channel":"' + b"a" * 129 + b'","data":1}', 400, "channel_name"),
        (b'{"channel":"user:1","data":1}', 400, "channel_name"),
        (b'{"channel":"presence:a","data":1}', 403, "not_granted"),
        (b'{"channel":"simulcast:control","data":1}', 403, "not_granted"),
        (b'{"channels":[],"data":1}', 400, "channel_count"),
        (b'{"channels":"a","data":1}', 400, "channel_name"),
        (b'{"channels":["a",7],"data":1}', 400, "channel_name"),
        (b'{"channels":["a","b b"],"data":1}', 400, "channel_name"),
        (b'{"channels":["a"],"channel":"b","data":1}', 400, "invalid_event"),
        (b'{"channels":null,"channel":"b","data":1}', 400, "channel_name"),
        (b'{"channel":"all","data":1}', 400, "channel_name"),
        (b'{"channel":"a","data":1,"type":""}', 400, "event_type"),
        (b'{"channel":"a","data":1,"type":"x\\ndata: y"}', 400, "event_type"),
        (b'{"channel":"a","data":1,"type":"x\\u0000"}', 400, "event_type"),
        (b'{"channel":"a","data":1,"type":"\\ud800"}', 400, "event_type"),
        (b'{"channel":"a","data":1,"type":"gap"}', 400, "event_type"),
        (b'{"channel":"a","data":1,"type":null}', 400, "event_type"),
        (b'{"channel":"a","data":1,"idempotency_key":7}', 400, "idempotency_key"),
        (b'{"channel":"a","data":1,"idempotency_key":""}', 400, "idempotency_key"),
        (b'{"channel":"a","data":1,"idempotency_key":"\\udfff"}', 400, "idempotency_key"),
        (b'{"channel":"a","data":"' + b"x" * 70_000 + b'"}', 413, "event_too_large"),
        (b'{"channel":"a","data":"' + "é".encode() * 40_000 + b'"}', 413, "event_too_large"),
        (b'{"channel":"a","data":"' + b"x" * (5 << 20) + b'"}', 413, "request_entity_too_large"),
        (b"[" + b",".join([b'{"channel":"a","data":1}'] * 1001) + b"]", 413, "too_many_events"),
        (b'{"data":1,"channels":[' + b'"a",' * 1000 + b'"a"]}', 413, "too_many_events"),
        (b'{"channel":"a","data":"\xff"}', 400, "not_json"),
        (b'{"channel":"a","data":"\\ud800"}', 201, ""),
        (b'{"channel":"a","data":{"\\udc00":"\\u0000\\u2028"}}', 201, ""),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_by_name(server: Server, body: bytes, status: int, code: str) -> None:
    answered, answer = post(server, body)
    assert answered == status, answer
    if code:
        assert error_code(answer) == code


def test_a_chunked_body_has_the_same_limit(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        head = f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(head.encode())
        try:
            for _ in range(80):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the end
        assert b"413" in sock.recv(64)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "0 channels"),
        ("channel=", "''"),
        ("channel=a%20b", "'a b'"),
        ("channel=%C3%A9", "'\\xe9'"),
        ("channel=" + "a" * 129, "'aaaaaaaa"),
        ("channel=a%0Ab", "'a\\nb'"),
        ("channel=%00", "'\\x00'"),
        ("&".join(f"channel=c{n}" for n in range(33)), "33 channels"),
        ("channel=%FF", "'%FF'"),
    ],
)
def test_bad_channels_are_refused_by_name(server: Server, query: str, named: str) -> None:
    status, _, body = server.request("GET", f"/api/v1/stream?{query}")
    answer = json.loads(body)
    assert status == 400
    assert error_code(answer) in ("channel_name", "channel_count")
    assert named in answer["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/events", 405),
        ("POST", "/api/v1/stream", 405),
        ("DELETE", "/api/v1/wukongs", 405),
        ("POST", "/api/v1/wukongs/host", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/wukongs/nobody", 404),
        ("GET", "/api/v1/wukongs/nobody/stream", 404),
        ("GET", "/api/v1/wukongs/%00/stream", 404),
        ("GET", "/api/v1/wukongs/%F0%9F%90%92", 404),
        ("GET", "/api/v1/wukongs/" + "x" * 300, 404),
        ("GET", "/api/v1/wukongs/worker-9999999999", 404),
        ("GET", "/api/v1/wukongs/vm-worker-x", 404),
        ("PATCH", "/", 405),
    ],
)
def test_wrong_ways_are_told_in_json(server: Server, method: str, path: str, status: int) -> None:
    answered, headers, body = server.request(method, path, headers=BEARER)
    assert headers["content-type"] == "application/json"
    assert error_code(json.loads(body))
    assert answered == status
    if status == 405:
        assert headers["allow"]


def test_publishing_needs_the_key(tmp_path: Path) -> None:
    event = {"channel": "a", "data": 1}
    with serve(tmp_path / "with") as server:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": KEY},
        ):
            status, answer_headers, body = server.request("POST", "/api/v1/events", event, headers)
            assert (status, answer_headers["www-authenticate"]) == (401, "Bearer")
            assert KEY.encode() not in body
        assert server.request("PUT", "/api/v1/wukongs/x/status", {})[0] == 401
    with serve(tmp_path / "without", publish_key="") as server:
        status, answer = post(server, event)
        assert (status, error_code(answer)) == (403, "publish_closed")
        assert post(server, event, {"Authorization": "Bearer "})[0] == 403


def test_listening_is_open_only_where_it_was_opened(tmp_path: Path) -> None:
    with serve(tmp_path, anonymous_channels="news,wukong:*") as server:
        assert server.request("HEAD", "/api/v1/stream?channel=news")[0] == 200
        assert server.request("HEAD", "/api/v1/stream?channel=news2")[0] == 401
        assert server.request("HEAD", "/api/v1/stream?channel=news&channel=other")[0] == 401
        assert server.request("HEAD", "/api/v1/stream?channel=other", headers=BEARER)[0] == 200
        assert server.request("HEAD", "/api/v1/wukongs/host/stream")[0] == 200
    with serve(tmp_path, anonymous_channels="*") as server:
        assert server.request("HEAD", "/api/v1/stream?channel=user:1")[0] == 401, "no star opens a reserved channel"


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"history_events": "many"}, ["SIMULCAST_HISTORY_EVENTS", "'many'", "1000"]),
        ({"heartbeat_seconds": "0"}, ["SIMULCAST_HEARTBEAT_SECONDS", "0", "15"]),
        ({"broker_url": "redys://x"}, ["SIMULCAST_BROKER_URL", "redys://", "sqlite:///"]),
        ({"histori_events": "5"}, ["SIMULCAST_HISTORI_EVENTS", "Did you mean SIMULCAST_HISTORY_EVENTS"]),
        ({"history_channels": "{"}, ["SIMULCAST_HISTORY_CHANNELS", "'{'", "86400"]),
        ({"history_channels": '{"a": 5}'}, ["SIMULCAST_HISTORY_CHANNELS", "86400"]),
        ({"anonymous_channels": "a*b"}, ["SIMULCAST_ANONYMOUS_CHANNELS", "'a*b'", "star"]),
        ({"sqlite_commit_in_thread": "fast"}, ["SIMULCAST_SQLITE_COMMIT_IN_THREAD", "'fast'", "False"]),
        ({"redis_seconds": "2"}, ["SIMULCAST_REDIS_SECONDS", "Did you mean SIMULCAST_BROKER_SECONDS"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_an_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(f"SIMULCAST_{name.upper()}", value)
    with pytest.raises(SettingError) as raised:
        create_app()
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"publish_key": "tooweak"}, ["SIMULCAST_PUBLISH_KEY", "32", "openssl"]),
        ({"WORKER_TIMEOUT": "x"}, ["WORKER_TIMEOUT", "'x'", "30"]),
    ],
)
def test_a_wrong_setting_stops_the_start_and_says_which(
    tmp_path: Path, settings: dict[str, str], parts: list[str]
) -> None:
    with pytest.raises(AssertionError) as stopped, serve(tmp_path, **settings):
        pass
    for part in parts:
        assert part in str(stopped.value)
    assert "tooweak" not in str(stopped.value)


def test_ready_says_how_far_the_log_is(server: Server) -> None:
    (position,) = server.publish("ready", 1)
    assert server.get_json("/readyz") == {"status": "ok", "position": position}
    assert server.get_json("/healthz")["status"] == "ok"


def test_no_request_of_this_module_made_a_500(server: Server) -> None:
    assert "Traceback" not in server.log
    assert "Internal Server Error" not in server.log
