"""WebSocket clients that others wrote, over TLS and with compression, too."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
import websocket
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect, unix_connect

from tests.integration.echo import APP, OFFER, url
from tests.tools.fixtures import server_fixture
from tests.tools.inspection import inspect
from tests.tools.require import require
from tests.tools.serving import Server, serve, wait_until
from tests.tools.ws_client import CLOSE, PING, PONG, TEXT, WSClient, frame

server = server_fixture(app=APP, allowed_origins="https://friend.example")


# Clients that others wrote


def test_the_websockets_library_in_asyncio(server: Server) -> None:
    async def talk() -> None:
        async with websockets.connect(url(server, "/echo")) as client:
            for message in ("hello", "κόσμε", b"\x00\x01", "x" * 100_000):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "fragments"])
            assert await client.recv() == "in three fragments"
            assert await asyncio.wait_for(await client.ping(), 5) < 5
        assert client.close_code == 1000
        async with websockets.connect(url(server, "/closes/4000")) as client:
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4000, "as asked")
        with pytest.raises(websockets.InvalidStatus) as raised:
            await websockets.connect(url(server, "/echo"), origin=websockets.Origin("https://evil.example"))
        assert raised.value.response.status_code == 403

    asyncio.run(talk())


def test_the_websockets_library_in_threads(server: Server) -> None:
    with connect(url(server, "/echo"), compression="deflate") as client:
        client.send("hello")
        assert client.recv() == "hello"
    with connect(url(server, "/flood/50/100000"), max_size=None) as client:
        messages = list(client)
        assert [len(message) for message in messages] == [100_000] * 50
    assert client.protocol.close_code == 1000


def test_websocket_client(server: Server) -> None:
    client = websocket.create_connection(url(server, "/echo"), timeout=10)
    for text in ("hello", "κόσμε", "x" * 100_000):
        client.send(text)
        assert client.recv() == text
    client.send_binary(b"\x00\xff")
    assert client.recv() == b"\x00\xff"
    client.ping("p")
    assert client.recv_data_frame(control_frame=True)[1].data == b"p"
    client.close(status=4444, reason=b"bye")
    client = websocket.create_connection(url(server, "/closes/revoked"), timeout=10)
    opcode, data = client.recv_data()
    assert (opcode, data[:2]) == (CLOSE, struct.pack("!H", 4500))
    client.shutdown()
    with socket.create_connection(("127.0.0.1", server.port)) as refused:  # ours, because it forgets to close its own
        with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
            websocket.WebSocket().connect(url(server, "/rooms/blue"), socket=refused)


def test_over_tls(tmp_path: Path) -> None:
    """What waits in TLS is in no socket buffer: no watcher tells of it."""
    openssl = require("openssl", shutil.which("openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=localhost"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(cafile=certificate)
    path = tmp_path / "server.sock"
    arguments = f"--certfile {certificate} --keyfile {key}"
    with serve(tmp_path, app=APP, bind=f"unix:{path}", GUNICORN_CMD_ARGS=arguments, LOG_LEVEL="debug") as server:
        with unix_connect(str(path), "wss://localhost/", ssl=context, max_size=None) as client:
            for size in (0, 10, 16383, 16384, 16385, 100_000, 3_000_000):
                client.send("x" * size)
                assert client.recv(timeout=10) == "x" * size
            for number in range(500):
                client.send(str(number))
            assert [client.recv(timeout=10) for _ in range(500)] == [str(number) for number in range(500)]
        assert client.protocol.close_code == 1000
        with unix_connect(str(path), "wss://localhost/flood/50/100000", ssl=context, max_size=None) as client:
            assert [len(message) for message in client] == [100_000] * 50
    assert "Traceback" not in server.log
    assert "Error" not in server.log, "the end of a WebSocket is none to gunicorn"


compressing = server_fixture(app=APP, websocket_compression=1)


# Compression


def test_a_client_that_offers_compression_gets_it_if_it_is_on(compressing: Server) -> None:
    messages = ["", "hello", "κόσμε 🙂 " * 1000, "x" * 131_072, b"\x00\xff" * 5000, os.urandom(131_072)]
    for window in ({}, {"client_max_window_bits": 9, "server_max_window_bits": 9}):
        offers = [ClientPerMessageDeflateFactory(**window)]
        with connect(url(compressing, "/echo"), compression=None, extensions=offers, max_size=None) as client:
            assert client.response is not None
            assert "server_no_context_takeover" in client.response.headers["Sec-WebSocket-Extensions"]
            for message in messages:
                client.send(message)
                assert client.recv(timeout=10) == message
            client.send(["in ", "three ", "fragments"])
            assert client.recv(timeout=10) == "in three fragments"
    with connect(url(compressing, "/echo"), compression=None) as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("x" * 100_000)
        assert client.recv(timeout=10) == "x" * 100_000
    assert "Traceback" not in compressing.log


def test_an_answer_is_small_on_the_wire_and_a_frame_for_everyone_is_as_it_was_made(compressing: Server) -> None:
    with WSClient(compressing.port, "/echo", OFFER) as client:
        client.socket.sendall(frame(TEXT, deflated(b"x" * 100_000), first=0xC1))
        opcode, payload = client.next()
        assert (opcode, len(payload) < 1000) == (TEXT, True)
        assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == b"x" * 100_000
    with WSClient(compressing.port, "/crowd", OFFER) as client:
        client.send(PING)
        assert client.next().opcode == PONG
        wait_until(lambda: inspect(compressing)["open"] == 1)
        compressing.request("POST", "/crowd/1", body=b"y" * 100_000)
        assert client.hear() == "y" * 100_000


def test_small_bombs_without_end_are_taken_as_fast_as_the_handler_takes_them(compressing: Server) -> None:
    """Fifty to a read, 120 KB each: what waits for the handler is bounded in what they become, and the order stays."""
    bombs = b"".join(frame(TEXT, deflated(f"{number:<120000}".encode()), first=0xC1) for number in range(150))
    with WSClient(compressing.port, "/echo", OFFER) as client:
        client.socket.sendall(bombs + frame(CLOSE, struct.pack("!H", 1000)))
        for number in range(150):
            opcode, payload = client.next()
            text = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
            assert (opcode, len(text), int(text)) == (TEXT, 120_000, number)
        assert client.closing().code == 1000


def deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(9, wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
