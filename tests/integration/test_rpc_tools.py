"""What tools ask by RPC: health, and the schemas of the services where the operator allows it."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.flask_simulcast.encoding.rpc.dialect import HEAD
from app.flask_simulcast.rpc.of_grpc import MESSAGES
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect
from tests.tools.require import require
from tests.tools.rpc import CONNECT, SERVICE, enveloped
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


def test_watches_that_begin_together_keep_to_the_limit(tmp_path: Path) -> None:
    """A client that has not sent its request yet has a place already. It is free again when the client has left."""
    few = {"app.flask_simulcast.rpc.health._MAX_WATCHES": 3}
    with (
        serve(tmp_path, rpc="1", http2="1", constants=few) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        watch = channel.stream_stream(f"{HEALTH}Watch", write, read)
        requests: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(6)]
        calls = [watch(iter(each.get, None), timeout=SECONDS) for each in requests]
        wait_until(lambda: sum(call.done() for call in calls) == 3, 5, "three to be refused")
        refused = [call for call in calls if call.done()]
        assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        for each in requests:
            each.put(asked())
            each.put(None)
        begun = [call for call in calls if call not in refused]
        assert [status_of(next(call)) for call in begun] == ["SERVING"] * 3
        assert not _can_watch(server, 1)
        for call in begun:
            call.cancel()
        for _ in range(2):
            wait_until(lambda: _can_watch(server, 3), 10, "three places to be free")


def _can_watch(server: Server, clients: int) -> bool:
    """Let clients watch at the same time by HTTP/1.1; return whether all of them may."""
    body, headers = enveloped(asked()), {"Content-Type": CONNECT}
    with ExitStack() as stack:
        for _ in range(clients):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
            stack.enter_context(closing(connection)).request("POST", f"{HEALTH}Watch", body, headers)
            response = stack.enter_context(connection.getresponse())
            flags, size = HEAD.unpack(response.read(HEAD.size))
            if flags:
                return False
            assert status_of(read(response.read(size))) == "SERVING"
    return True


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
