"""RPC by clients that others wrote, on servers that all of them share: grpc-js and grpcurl, without TLS and with it; h2spec."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.flask_simulcast.proto.simulcast.v1 import stream_pb2 as pb
from tests.tools.nginx import make_certificate
from tests.tools.require import require
from tests.tools.rpc import SERVICE
from tests.tools.serving import BEARER, ROOT, free_port, serve

PROTO = ROOT / "app" / "flask_simulcast" / "proto"
PARSERS = ROOT / "tests" / "parsers"
SECONDS = 60
# It begins with bytes that are no HTTP/2, so that they are HTTP/1.1's here: 400, and the end of the connection.
NOT_OURS = {"Sends invalid connection preface"}


class Target(NamedTuple):
    """A server, and what its clients must know of it."""

    address: str
    certificate: Path | None


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serve(tmp_path_factory.mktemp("plain"), rpc="1", http2="1") as server:
        yield Target(f"127.0.0.1:{server.port}", None)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    make_certificate(folder)
    files = f"--certfile {folder}/simulcast.crt --keyfile {folder}/simulcast.key"
    # The socket in a file is there to be waited for.
    bind = f"unix:{folder}/socket,127.0.0.1:{port}"
    with serve(folder / "service", bind=bind, rpc="1", http2="1", GUNICORN_CMD_ARGS=files):
        yield Target(f"127.0.0.1:{port}", folder / "simulcast.crt")


@pytest.fixture(params=["plain", "tls"])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue(request.param)
    return found


def test_grpc_js_publishes_listens_and_is_refused(target: Target, tmp_path: Path) -> None:
    node = require("node", shutil.which("node"))
    require("grpc-js", next(map(str, PARSERS.glob("node_modules/@grpc/grpc-js")), None))
    descriptors = tmp_path / "descriptors"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTO), "--include_imports"]
    subprocess.run([*protoc, f"--descriptor_set_out={descriptors}", pb.DESCRIPTOR.name], check=True, timeout=SECONDS)
    known = [str(target.certificate)] if target.certificate else []
    command = [node, str(PARSERS / "grpc.mjs"), target.address, str(descriptors), BEARER["Authorization"], *known]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"data": ["1", "2", "3"], "stored": 2, "refused": 16}


def test_grpcurl_publishes_and_listens(target: Target) -> None:
    grpcurl = require("grpcurl", shutil.which("grpcurl", path=str(Path(sys.executable).parent)))
    known = ["-cacert", str(target.certificate), "-authority", "localhost"] if target.certificate else ["-plaintext"]
    schema = ["-import-path", str(PROTO), "-proto", pb.DESCRIPTOR.name]

    def call(method: str, given: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [grpcurl, *known, *schema, *options, "-d", given, target.address, f"{SERVICE}{method}".strip("/")]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)

    key = ["-H", f"Authorization: {BEARER['Authorization']}"]
    stored = call("PublishStream", '{"channel":"curl","json":"1"}{"channel":"curl","text":"two"}', *key)
    assert json.loads(stored.stdout)["events"] == "2", stored.stderr
    refused = call("Publish", '{"channel":"curl","json":"1"}')
    assert "Code: Unauthenticated" in refused.stderr
    heard = call("Subscribe", '{"channels":["curl"],"replay":2}', "-max-time", "1")
    assert '"json": "1"' in heard.stdout and '"text": "two"' in heard.stdout, heard.stderr
    assert "Code: DeadlineExceeded" in heard.stderr


@pytest.mark.parametrize("chosen", [["/healthz"], ["/api/v1/stream?channel=a", "http2/5.1.2"]], ids=["all", "streams"])
def test_h2spec_finds_nothing(plain: Target, chosen: list[str]) -> None:
    """What breaks the protocol ends its stream or the connection with the right error; 145 cases, and one with streams that last."""
    h2spec = shutil.which("h2spec", path=f"{ROOT / 'build'}")
    if h2spec is None:
        pytest.skip("h2spec is not there: scripts/test installs it if Go is there")
    host, _, port = plain.address.partition(":")
    path, *cases = chosen
    done = subprocess.run(
        [h2spec, "-h", host, "-p", port, "-P", path, *cases],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    failed = set(re.findall(r"^ +× \d+: (.+)$", done.stdout.partition("Failures:")[2], re.MULTILINE))
    assert failed <= NOT_OURS, done.stdout
    assert re.search(r"[1-9]\d* passed, 0 skipped", done.stdout), done.stdout
