"""docs/rpc.md: an event is published by a POST, and a program of grpcio hears it, over HTTP/2 on the same port."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from app.flask_simulcast.encoding.rpc.codes import Code
from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from app.flask_simulcast.rpc.streams import STORED_EVENTS, STORED_LAST_ID
from tests.docs.page import Page
from tests.docs.reader import Reader, app_reader
from tests.tools.nginx import serve_config
from tests.tools.require import require
from tests.tools.serving import ROOT, Server

PAGE = Page("docs/rpc.md")
APP = PAGE.take("In your app", "python")
PUBLISH = PAGE.take("In your app", "sh")
LISTEN = PAGE.take("gRPC", "python")
TALK = PAGE.take("gRPC", "python")
TOOL = PAGE.take("Probes and tools", "sh")
NGINX = PAGE.take("gRPC", "nginx")
SERVICE = pb.DESCRIPTOR.services_by_name["StreamService"].full_name
TEXT = (ROOT / PAGE.path).read_text()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with app_reader(tmp_path_factory.mktemp("rpc"), app=APP.text) as reader:
        yield reader


@pytest.fixture(scope="module")
def server(reader: Reader) -> Iterator[Server]:
    with reader.serving("gunicorn -c python:flask_simulcast.gunicorn app:app") as server:
        yield server


def test_an_event_is_posted_and_heard_by_grpc(reader: Reader, server: Server) -> None:
    id = json.loads(reader.run(PUBLISH))["id"]
    at = LISTEN.replaced({"127.0.0.1:8000": f"127.0.0.1:{server.port}"})
    (reader.folder / "listen.py").write_text(at.text)
    with reader.running("python listen.py") as listening:
        listening.wait_for(f'{id} {{"id":7}}')


def test_one_call_publishes_and_listens(reader: Reader, server: Server) -> None:
    at = TALK.replaced({"127.0.0.1:8000": f"127.0.0.1:{server.port}"})
    (reader.folder / "talk.py").write_text(at.text)
    with reader.running("python talk.py") as talking:
        for line in ("reply 1 subscribed", "reply 2 published"):
            talking.wait_for(line)
        talking.wait_for(" 8\n")


def test_a_tool_needs_no_schema(reader: Reader, server: Server) -> None:
    require("buf", next(map(str, (ROOT / ".venv" / "bin").glob("buf")), None))
    assert json.loads(reader.run(TOOL)) == {"status": "SERVING"}


def test_nginx_passes_a_call_on_and_its_answers_as_they_come(server: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {"50051": str(port), "127.0.0.1:8000": f"127.0.0.1:{server.port}", "/etc/nginx/tls": f"{tmp_path}/tls"}
    with serve_config(tmp_path, NGINX.replaced(values).text):
        trust = grpc.ssl_channel_credentials((tmp_path / "tls" / "simulcast.crt").read_bytes())
        with grpc.secure_channel(f"localhost:{port}", trust) as channel:
            subscribe = channel.unary_stream(
                f"/{SERVICE}/Subscribe", pb.SubscribeRequest.SerializeToString, pb.SubscribeResponse.FromString
            )
            call = subscribe(pb.SubscribeRequest(channels=["orders"]), timeout=15)
            assert next(call).HasField("connected")
            event = json.dumps({"channel": "orders", "json": "8"}).encode()
            assert server.request("POST", f"/{SERVICE}/Publish", event, {"Content-Type": "application/json"})[0] == 200
            assert next(call).event.json == "8"


def test_every_call_and_every_code_of_the_page_is_there() -> None:
    methods = pb.DESCRIPTOR.services_by_name["StreamService"].methods
    assert all(f"| `{method.name}` |" in TEXT for method in methods)
    assert all(f"`{name}`" in TEXT for name in (STORED_EVENTS, STORED_LAST_ID))
    codes = [line.split("`")[1] for line in TEXT.partition("## Codes")[2].splitlines() if line.startswith("| `")]
    assert set(codes) < set(Code.__members__) and len(codes) == len(set(codes))
