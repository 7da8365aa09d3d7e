"""``wukongs.v1.WukongService`` by grpcio: the same statuses, rights and codes as the HTTP routes and the console."""

from __future__ import annotations

import json
import queue
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.features.wukongs.proto.wukongs.v1 import wukong_pb2 as pb
from app.host import HOST
from tests.tools.agents import agent
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.inspection import inspect
from tests.tools.rpc import enveloped, trailers_of_open_call
from tests.tools.serving import BEARER, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

server = server_fixture(app="tests.apps.inspected:app", rpc="1", http2="1", anonymous_channels="news")
NAME = pb.DESCRIPTOR.services_by_name["WukongService"].full_name
KEY = [("authorization", BEARER["Authorization"])]
SECONDS = 15


class Client:
    """The five calls, on one channel of grpcio."""

    def __init__(self, channel: grpc.Channel) -> None:
        def write(message: Any) -> bytes:
            return bytes(message.SerializeToString())

        def call(make: Any, method: str, answer: Any) -> Any:
            made = make(f"/{NAME}/{method}", write, answer.FromString)
            return lambda asked, metadata=KEY: made(asked, metadata=metadata, timeout=SECONDS)

        self.get = call(channel.unary_unary, "Get", pb.Wukong)
        self.list = call(channel.unary_stream, "List", pb.Wukong)
        self.watch = call(channel.unary_stream, "Watch", pb.WatchResponse)
        self.report = call(channel.stream_unary, "Report", pb.ReportResponse)
        self.console = call(channel.stream_stream, "Console", pb.ConsoleResponse)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Client(channel)
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "all calls to end")


def reports(name: str, *loads: float) -> Iterator[pb.ReportRequest]:
    return iter([pb.ReportRequest(name=name, data=json.dumps({"load": load}), interval_seconds=5) for load in loads])


def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert ". " in caught.value.details()
    code: grpc.StatusCode = caught.value.code()
    return code


def test_an_agent_reports_and_a_watcher_sees_each_status(server: Server, client: Client) -> None:
    assert client.report(reports("web-1", 0.5)).reports == 1
    watch = client.watch(pb.WatchRequest(name="web-1"))
    assert list(next(watch).connected.channels) == ["wukong:web-1"]
    first = next(watch).status
    assert (first.name, first.kind, first.state, json.loads(first.data)) == ("web-1", "agent", "online", {"load": 0.5})
    server.publish("wukong:web-1", "no status", {"nor": "this"})
    assert client.report(reports("web-1", 1, 2)).reports == 2
    later = [next(watch).status for _ in range(2)]
    assert [json.loads(status.data)["load"] for status in later] == [1, 2]
    status, _, body = server.request("GET", "/api/v1/wukongs/web-1", None, BEARER)
    told = json.loads(body)
    got = client.get(pb.GetRequest(name="web-1"))
    assert (status, got.time.ToMilliseconds(), json.loads(got.data)) == (200, told["time"], told["data"])
    watch.cancel()
    assert {HOST, "web-1"} <= {each.name for each in client.list(pb.ListRequest())}


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (pb.ReportRequest(name="host", data="{}"), grpc.StatusCode.FAILED_PRECONDITION),
        (pb.ReportRequest(name="a b", data="{}"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data="["), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data="[" * 100_000), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data="[]"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data="{}", interval_seconds=-1), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data="{}", interval_seconds=float("nan")), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReportRequest(name="a", data=json.dumps({"x": "x" * 70_000})), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_report_that_can_not_be_used_has_its_code(
    client: Client, report: pb.ReportRequest, code: grpc.StatusCode
) -> None:
    assert code_of(lambda: client.report(iter([report]))) is code


def test_reports_that_end_early_say_how_many_are_stored(server: Server, client: Client) -> None:
    bad = pb.ReportRequest(name="counted", data="[")
    with pytest.raises(grpc.RpcError) as caught:
        client.report(iter([*reports("counted", 1, 2), bad]))
    assert dict(caught.value.trailing_metadata())["simulcast-stored-reports"] == "2"
    late = BEARER | {"Grpc-Timeout": "1S"}
    told = trailers_of_open_call(server, f"/{NAME}/Report", enveloped(*reports("counted", 3)), late)
    assert (told["grpc-status"], told["simulcast-stored-reports"]) == ("4", "1")


def test_what_is_not_there_or_not_granted_has_its_code(client: Client) -> None:
    nothing = grpc.StatusCode.NOT_FOUND
    assert code_of(lambda: client.get(pb.GetRequest(name="nothing"))) is nothing
    assert code_of(lambda: next(client.watch(pb.WatchRequest(name="no thing")))) is nothing
    assert code_of(lambda: next(client.console(iter([pb.ConsoleRequest(name="nothing")])))) is nothing
    unknown = grpc.StatusCode.UNAUTHENTICATED
    assert code_of(lambda: client.get(pb.GetRequest(name="host"), ())) is unknown
    assert code_of(lambda: next(client.list(pb.ListRequest(), ()))) is unknown
    assert code_of(lambda: next(client.watch(pb.WatchRequest(name="host"), ()))) is unknown
    assert code_of(lambda: client.report(reports("a", 1), ())) is unknown
    assert code_of(lambda: next(client.console(iter([pb.ConsoleRequest(name="host")]), ()))) is unknown


def test_a_console_shows_statuses_while_it_answers(client: Client) -> None:
    asked: queue.SimpleQueue[pb.ConsoleRequest | None] = queue.SimpleQueue()
    console = client.console(iter(asked.get, None))
    asked.put(pb.ConsoleRequest(name="host"))
    assert next(console).connected.listener
    assert next(console).status.name == HOST
    commands = {
        "1": {"ping": pb.Ping()},
        "2": {"status": pb.Status()},
        "3": {"set_interval": pb.SetInterval(seconds=60)},
        "4": {"history": pb.History(limit=1)},
        "5": {"command": pb.Command(command="uptime")},
        "6": {"command": pb.Command(command="processes", args='{"limit": 1}', wait=5)},
        "7": {"set_interval": pb.SetInterval(seconds=1000)},
        "8": {"command": pb.Command(command="uptime", args="{")},
        "9": {"command": pb.Command(command="rm")},
        "10": {},
    }
    for id, command in commands.items():
        asked.put(pb.ConsoleRequest(id=id, **command))
    replies: dict[str, Any] = {}
    while len(replies) < len(commands):
        message = next(console)
        if message.HasField("reply"):
            replies[message.reply.id] = message.reply
    results = {id: json.loads(reply.result) for id, reply in replies.items() if reply.HasField("result")}
    assert set(results) == {"1", "2", "3", "4", "5", "6"}, replies
    assert results["3"] == {"seconds": 60} and results["2"]["name"] == HOST
    assert results["5"]["output"]["machine_seconds"] > 0 and len(results["6"]["output"]["processes"]) == 1
    codes = [replies[id].error.code for id in ("7", "8", "9", "10")]
    assert codes == ["invalid_command", "invalid_command", "unknown_command", "invalid_command"]
    asked.put(None)
    assert not [message for message in console if message.HasField("reply")]
    assert console.code() is grpc.StatusCode.OK


def test_broadcast_that_has_a_name_of_the_service_is_taken_for_none_of_its_messages(
    server: Server, client: Client
) -> None:
    client.report(reports("quiet", 1))
    asked: queue.SimpleQueue[pb.ConsoleRequest | None] = queue.SimpleQueue()
    console, watch = client.console(iter(asked.get, None)), client.watch(pb.WatchRequest(name="quiet"))
    asked.put(pb.ConsoleRequest(name="quiet"))
    with (
        SSEClient(server.port, "/api/v1/wukongs/quiet/stream", headers=BEARER) as stream,
        JSONSocket(server, "/ws/wukong/quiet", BEARER) as ws,
    ):
        for first in (console, watch):
            assert [next(first).WhichOneof("message") for _ in range(2)] == ["connected", "status"]
        assert [block.type for block in stream.take(2)] == ["connected", "status"]
        assert [ws.next()["type"] for _ in range(2)] == ["connected", "status"]
        for type in ("status", "reply", "closing", "note"):
            assert server.request("POST", "/api/v1/broadcast", {"type": type, "data": {"x": 1}}, BEARER)[0] == 201
        server.publish("wukong:quiet", {"x": 2}, type="reply")
        client.report(reports("quiet", 2))
        assert next(console).notice.type == "note"
        assert [next(each).status.name for each in (console, watch)] == ["quiet", "quiet"]
        assert [block.type for block in stream.take(5)] == ["reply", "closing", "note", "reply", "status"]
        assert [ws.next()["type"] for _ in range(2)] == ["note", "status"]
    asked.put(None)
    watch.cancel()


def test_the_agent_reports_on_one_call_and_again_after_a_restart(tmp_path: Path) -> None:
    path, options = "/api/v1/wukongs/by-call/stream", ("--rpc", "--interval", "0.2")
    lines = {"GUNICORN_CMD_ARGS": "--access-logfile -"}
    with serve(tmp_path / "service", rpc="1", http2="1", jwt_key=JWT_KEY, **lines) as server:
        with agent(tmp_path, "by-call", server.port, *options) as running:
            running.wait_for("Reports as by-call.")
            with SSEClient(server.port, path, headers=BEARER) as client:
                client.take(4, "status")
            assert server.log.count('"PUT /api/v1/wukongs/by-call/status') == 1
            (old,) = server.workers
            server.signal(signal.SIGHUP)
            running.wait_for("Not reported: The call has ended with")
            wait_until(lambda: old not in server.workers, 10, "the old worker to leave, which turns listeners away")
            with SSEClient(server.port, path, headers=BEARER) as client:
                client.take(4, "status")
            assert running.stop() == 0
        assert "Traceback" not in running.log


def test_the_agent_refuses_what_is_no_url_and_a_token_that_is_none(server: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "wrong", server.port, "--rpc=ftp://x") as running:
        assert (running.process.wait(30), "is no http or https URL" in running.log) == (2, True)
    for number in range(3):  # it may be refused before it waits
        with agent(tmp_path, f"refused-{number}", server.port, "--rpc", token="nonsense") as running:
            assert (running.process.wait(30), "Traceback" in running.log) == (1, False)
