"""``Connect``: one call that listens and publishes, by clients that others wrote. It keeps the promises of ``/ws``."""

from __future__ import annotations

import asyncio
import json
import queue
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.flask_simulcast.encoding.rpc.codes import Code
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.identity.tokens import mint
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.inspection import inspect
from tests.tools.require import require
from tests.tools.rpc import CONNECT, SERVICE, RpcCall, enveloped
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until

server = server_fixture(app="tests.apps.inspected:app", rpc="1", http2="1")
KEY = [("authorization", BEARER["Authorization"])]
SECONDS = 15


def write(message: Any) -> bytes:
    return bytes(message.SerializeToString())


class Talk:
    """One call of ``Connect`` by grpcio."""

    def __init__(self, channel: grpc.Channel, metadata: Any = KEY, timeout: float = SECONDS) -> None:
        self._asked: queue.SimpleQueue[pb.ConnectRequest | None] = queue.SimpleQueue()
        connect = channel.stream_stream(f"{SERVICE}Connect", write, pb.ConnectResponse.FromString)
        self.call = connect(iter(self._asked.get, None), metadata=metadata, timeout=timeout)
        self.connected = self.next("connected")
        self._count = 0

    def next(self, kind: str) -> Any:
        """Return the next message, which is of this kind."""
        message = next(self.call)
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    def ask(self, **command: Any) -> Any:
        """Send a command, and return its result. Its reply comes next."""
        self._count += 1
        self._asked.put(pb.ConnectRequest(id=str(self._count), **command))
        reply = self.next("reply")
        assert reply.id == str(self._count)
        return getattr(reply, reply.WhichOneof("result"))

    def subscribe(self, *channels: str, **others: Any) -> Any:
        return self.ask(subscribe=pb.SubscribeRequest(channels=channels, **others))

    def finish(self) -> None:
        """End the client's side, and wait for the end of the server's."""
        self._asked.put(None)
        assert list(self.call) == []


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel
    wait_until(lambda: inspect(server)["listeners"] == 0, 5, "all calls to end")


def test_each_command_is_answered_and_events_follow_the_answer(server: Server, channel: grpc.Channel) -> None:
    first, second = server.publish("talk", 1, 2)
    talk = Talk(channel)
    assert list(talk.connected.channels) == ["all"]
    subscribed = talk.subscribe("talk", last_event_id=first)
    assert (subscribed.id, list(subscribed.channels)) == (first, ["talk"])
    assert [talk.next("event").id] == [second]
    wait_until(lambda: inspect(server)["parked"] == 2, 5, "both subscriptions to park")
    published = talk.ask(publish=pb.PublishRequest(channel="elsewhere", json="3"))
    pong = talk.ask(ping=pb.Ping())
    assert [list(each.channels) for each in pong.subscriptions] == [["all"], ["talk"]]
    assert pong.time.seconds > 1_700_000_000
    (third,) = server.publish("talk", {"of": "three"})
    event = talk.next("event")
    assert (event.id, event.channel, event.json) == (third, "talk", '{"of":"three"}')
    (left,) = talk.ask(unsubscribe=pb.Unsubscribe(channels=["talk"])).left
    assert (list(left.channels), left.id) == (["talk"], third)
    server.publish("talk", 4)
    assert talk.subscribe("elsewhere", last_event_id=second).listener
    assert talk.next("event").id == published.id
    talk.finish()
    assert talk.call.code() is grpc.StatusCode.OK


def test_an_idle_call_has_no_greenlet_and_goes_on(server: Server, channel: grpc.Channel) -> None:
    server.publish("idle", 1)
    Talk(channel).finish()
    before = inspect(server)["greenlets"]
    talks = [Talk(channel) for _ in range(5)]
    for talk in talks:
        talk.subscribe("idle")
    store = channel.stream_unary(f"{SERVICE}PublishStream", write, pb.PublishStreamResponse.FromString)
    events: queue.SimpleQueue[pb.PublishRequest | None] = queue.SimpleQueue()
    stored = store.future(iter(events.get, None), metadata=KEY, timeout=SECONDS)
    events.put(pb.PublishRequest(channel="idle", json="2"))
    assert [talk.next("event").json for talk in talks] == ["2"] * 5
    wait_until(lambda: inspect(server)["greenlets"] <= before, 5, "all greenlets to end")
    events.put(pb.PublishRequest(channel="idle", json="3"))
    events.put(None)
    assert [talk.next("event").json for talk in talks] == ["3"] * 5
    assert stored.result().events == 2
    for talk in talks:
        assert len(talk.ask(ping=pb.Ping()).subscriptions) == 2
        talk.finish()


def test_who_publishes_hears_it_too(channel: grpc.Channel) -> None:
    talk = Talk(channel)
    talk.subscribe("echo")
    talk._asked.put(pb.ConnectRequest(id="p", publish=pb.PublishRequest(channel="echo", text="<b>")))
    messages = [next(talk.call) for _ in range(2)]
    told = {each.WhichOneof("message"): each for each in messages}
    assert told["event"].event.id == told["reply"].reply.published.id
    assert told["event"].event.text == "<b>"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({}, Code.INVALID_ARGUMENT),
        ({"subscribe": pb.SubscribeRequest()}, Code.INVALID_ARGUMENT),
        ({"subscribe": pb.SubscribeRequest(channels=["a b"])}, Code.INVALID_ARGUMENT),
        ({"subscribe": pb.SubscribeRequest(channels=["all"])}, Code.INVALID_ARGUMENT),
        ({"subscribe": pb.SubscribeRequest(channels=["presence:x"])}, Code.UNAUTHENTICATED),
        ({"subscribe": pb.SubscribeRequest(channels=[f"c{number}" for number in range(40)])}, Code.INVALID_ARGUMENT),
        ({"unsubscribe": pb.Unsubscribe(channels=["all"])}, Code.INVALID_ARGUMENT),
        ({"publish": pb.PublishRequest(channel="a", json="1")}, Code.UNAUTHENTICATED),
        ({"publish": pb.PublishRequest(channel="a b", json="1")}, Code.UNAUTHENTICATED),
    ],
)
def test_a_command_that_fails_has_its_code_and_the_call_goes_on(
    channel: grpc.Channel, command: dict[str, Any], code: Code
) -> None:
    talk = Talk(channel, metadata=())
    error = talk.ask(**command)
    assert (error.code, ". " in error.message) == (code, True), error
    assert talk.ask(ping=pb.Ping()).subscriptions


def test_a_channel_is_subscribed_once_and_a_position_that_is_none_is_a_gap(channel: grpc.Channel) -> None:
    talk = Talk(channel)
    talk.subscribe("once", last_event_id="nonsense")
    gap = talk.next("gap")
    assert (gap.reason, "once" in gap.channels) == ("invalid", True)
    assert talk.subscribe("once").code == Code.INVALID_ARGUMENT
    assert talk.ask(publish=pb.PublishRequest(channel="once", json="{")).code == Code.INVALID_ARGUMENT
    assert talk.ask(ping=pb.Ping()).subscriptions


def test_a_client_without_any_right_does_not_begin(server: Server, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        Talk(channel, metadata=[("authorization", "Bearer nonsense")])
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_slow_reader_misses_nothing(server: Server, channel: grpc.Channel) -> None:
    talk = Talk(channel)
    talk.subscribe("slow")
    text = "x" * 4000
    for start in range(0, 600, 100):
        server.publish("slow", *({"number": number, "text": text} for number in range(start, start + 100)))
    assert [json.loads(talk.next("event").json)["number"] for _ in range(600)] == list(range(600))


def test_what_comes_too_fast_ends_the_call(tmp_path: Path) -> None:
    with (
        serve(tmp_path, rpc="1", http2="1", websocket_rate="5") as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        talk = Talk(channel)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in range(30):
                talk.ask(ping=pb.Ping())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        talk = Talk(channel)
        server.signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            list(talk.call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details().startswith("This worker is about to stop.")


def test_a_revoked_token_ends_its_calls_in_their_middle(tmp_path: Path) -> None:
    rights = {"subscribe": ["a"], "publish": ["a"]}
    key = [("authorization", f"Bearer {mint(JWT_KEY, seconds=600, user='ann', **rights)}")]
    with (
        serve(tmp_path, rpc="1", http2="1", jwt_key=JWT_KEY) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        talk, publish = Talk(channel, key), channel.stream_unary(f"{SERVICE}PublishStream", write)
        talk.subscribe("a")
        events: queue.SimpleQueue[pb.PublishRequest | None] = queue.SimpleQueue()
        stream = publish.future(iter(events.get, None), metadata=key, timeout=SECONDS)
        events.put(pb.PublishRequest(channel="a", json="1"))
        assert talk.next("event").json == "1"
        assert server.request("DELETE", "/api/v1/users/ann/grants", None, BEARER)[0] == 204
        with pytest.raises(grpc.RpcError) as caught:
            list(talk.call)
        events.put(pb.PublishRequest(channel="a", json="2"))
        assert caught.value.code() is stream.code() is grpc.StatusCode.UNAUTHENTICATED
        assert dict(stream.trailing_metadata())["simulcast-stored-events"] == "1"


def test_http_1_is_told_that_it_needs_the_other(server: Server) -> None:
    with RpcCall(server, "Connect", enveloped(pb.ConnectRequest(id="1", ping=pb.Ping())), CONNECT, BEARER) as call:
        ((flags, end),) = call.envelopes()
    error = json.loads(end)["error"]
    assert (flags, error["code"], "HTTP/2" in error["message"]) == (2, "unimplemented", True)


def test_asyncio_talks(server: Server) -> None:
    async def talk() -> list[str]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.stream_stream(f"{SERVICE}Connect", write, pb.ConnectResponse.FromString)(metadata=KEY)
            await call.read()
            found = []
            for number in range(3):
                await call.write(pb.ConnectRequest(id=str(number), ping=pb.Ping()))
                found.append((await call.read()).reply.id)
            await call.done_writing()
            return found

    assert asyncio.run(talk()) == ["0", "1", "2"]


@pytest.mark.parametrize("protocol", ["connect", "grpc", "grpcweb"])
def test_buf_curl_talks(server: Server, protocol: str) -> None:
    buf = require("buf", next(map(str, (ROOT / ".venv" / "bin").glob("buf")), None))
    command = [buf, "curl", "--protocol", protocol, "--http2-prior-knowledge", "--schema"]
    given = '{"id":"1","ping":{}}{"id":"2","publish":{"channel":"buf","json":"7"}}'
    done = subprocess.run(
        [
            *command,
            f"{ROOT}/app/flask_simulcast/proto",
            "-H",
            f"Authorization: {BEARER['Authorization']}",
            "-d",
            "@-",
            f"http://127.0.0.1:{server.port}{SERVICE}Connect",
        ],
        check=False,
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert '"published"' in done.stdout and '"pong"' in done.stdout
