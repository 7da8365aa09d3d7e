"""What tools ask by RPC: health, and the schemas of the services where the operator allows it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.flask_simulcast.rpc.of_grpc import MESSAGES
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect
from tests.tools.require import require
from tests.tools.rpc import SERVICE
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until

server = server_fixture(app="tests.apps.inspected:app", rpc="1", http2="1", rpc_reflection="1")
HEALTH = "/grpc.health.v1.Health/"
SECONDS = 15


def write(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def asked(service: str = "") -> Any:
    return MESSAGES["grpc.health.v1.HealthCheckRequest"](service=service)


def status_of(answer: Any) -> str:
    names = answer.DESCRIPTOR.enum_types_by_name["ServingStatus"].values_by_number
    return str(names[answer.status].name)


def read(data: bytes) -> Any:
    return MESSAGES["grpc.health.v1.HealthCheckResponse"].FromString(data)


@pytest.mark.parametrize("service", ["", "simulcast.v1.StreamService"])
def test_a_probe_asks_whether_it_serves(server: Server, service: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        check = channel.unary_unary(f"{HEALTH}Check", write, read)
        assert status_of(check(asked(service), timeout=SECONDS)) == "SERVING"
        with pytest.raises(grpc.RpcError) as caught:
            check(asked("nothing"), timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    status, _, answer = server.request("POST", f"{HEALTH}Check", b"{}", {"Content-Type": "application/json"})
    assert (status, json.loads(answer)) == (200, {"status": "SERVING"})


def test_a_watch_is_told_of_the_end_and_an_unknown_service_is_no_error(tmp_path: Path) -> None:
    with serve(tmp_path, rpc="1", http2="1") as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = channel.unary_stream(f"{HEALTH}Watch", write, read)
        unknown, known = watch(asked("nothing"), timeout=SECONDS), watch(asked(), timeout=SECONDS)
        assert (status_of(next(unknown)), status_of(next(known))) == ("SERVICE_UNKNOWN", "SERVING")
        unknown.cancel()
        info = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as caught:
            next(info(iter([b""]), timeout=SECONDS))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED  # nothing allows it here
        server.signal(signal.SIGTERM)
        assert status_of(next(known)) == "NOT_SERVING"
        with pytest.raises(grpc.RpcError) as caught:
            next(known)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_watches_have_one_greenlet_together_and_end_with_their_clients(server: Server) -> None:
    before = inspect(server)["greenlets"]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = channel.unary_stream(f"{HEALTH}Watch", write, read)
        calls = [watch(asked(), timeout=SECONDS) for _ in range(5)]
        late = watch(asked(), timeout=1)
        assert [status_of(next(call)) for call in [*calls, late]] == ["SERVING"] * 6
        # One for the connection, one for all watches
        wait_until(lambda: inspect(server)["greenlets"] <= before + 2, 5, "no others")
        with pytest.raises(grpc.RpcError) as caught:
            next(late)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: inspect(server)["greenlets"] <= before, 5, "all to end")


def test_buf_curl_needs_no_schema(server: Server) -> None:
    buf = require("buf", next(map(str, (ROOT / ".venv" / "bin").glob("buf")), None))
    command = [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    url = f"http://127.0.0.1:{server.port}"
    listed = subprocess.run([*command, "--list-services", url], check=True, capture_output=True, text=True, timeout=30)
    assert {"simulcast.v1.StreamService", "grpc.health.v1.Health"} <= set(listed.stdout.split())
    key = ["-H", f"Authorization: {BEARER['Authorization']}"]
    event = '{"channel":"tools","json":"7"}'
    done = subprocess.run(
        [*command, *key, "-d", event, f"{url}{SERVICE}Publish"], check=False, capture_output=True, text=True, timeout=30
    )
    assert json.loads(done.stdout)["id"], done.stderr


def test_grpcurl_lists_what_is_there_and_calls_it(server: Server) -> None:
    grpcurl = require("grpcurl", shutil.which("grpcurl", path=str(Path(sys.executable).parent)))
    address = f"127.0.0.1:{server.port}"

    def told(*arguments: str) -> str:
        command = [grpcurl, "-plaintext", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    services = {"simulcast.v1.StreamService", "wukongs.v1.WukongService", "grpc.health.v1.Health"}
    assert services <= set(told(address, "list").split())
    assert "rpc Watch" in told(address, "describe", "wukongs.v1.WukongService")
    assert json.loads(told(address, "grpc.health.v1.Health/Check")) == {"status": "SERVING"}
    key = ["-H", f"Authorization: {BEARER['Authorization']}"]
    given = ["-d", '{"id":"1","ping":{}}']
    answers = told(*key, *given, address, f"{SERVICE}Connect".strip("/"))
    assert '"pong"' in answers and '"connected"' in answers


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_each_question_has_its_answer(server: Server, version: str) -> None:
    def message(name: str) -> Any:
        return MESSAGES[f"grpc.reflection.{version}.{name}"]

    questions = [
        {"list_services": ""},
        {"file_by_filename": "simulcast/v1/stream.proto"},
        {"file_containing_symbol": "grpc.health.v1.Health.Check"},
        {"file_containing_symbol": "no.such.Thing"},
        {"all_extension_numbers_of_type": "simulcast.v1.Event"},
        {},
    ]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        info = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            write,
            message("ServerReflectionResponse").FromString,
        )
        asked = [message("ServerReflectionRequest")(host="h", **question) for question in questions]
        answers = list(info(iter(asked), timeout=SECONDS))
    kinds = [answer.WhichOneof("message_response") for answer in answers]
    files = ["file_descriptor_response"] * 2
    numbers = "all_extension_numbers_response"
    assert kinds == ["list_services_response", *files, "error_response", numbers, "error_response"]
    assert answers[3].error_response.error_code == 5
    assert len(answers[1].file_descriptor_response.file_descriptor_proto) == 2  # with that of timestamps
    assert all(answer.valid_host == "h" for answer in answers)
