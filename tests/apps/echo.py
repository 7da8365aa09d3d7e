"""WebSocket routes of every kind, and a window into their worker."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import logging
import os
import zlib
from pathlib import Path

import gevent
from flask import Blueprint, Flask, Response, g, jsonify, request
from gevent.event import Event

from app.flask_simulcast import CloseReason, Connection, GuardedSock, Simulcast, UnauthorizedError, text_frame
from app.flask_simulcast.encoding.websocket import BINARY, COMPRESSED, TEXT, frame
from tests.tools.living import living, living_greenlets, take_as_given

logging.basicConfig(level=logging.INFO)
app = Flask(__name__)
app.config["SIMULCAST_BROKER_URL"] = "memory://"
for name in (
    "SIMULCAST_ALLOWED_ORIGINS",
    "SIMULCAST_DRAIN_SECONDS",
    "SIMULCAST_HEARTBEAT_SECONDS",
    "SIMULCAST_MAX_LISTENERS",
    "SIMULCAST_PARKING",
    "SIMULCAST_STALL_SECONDS",
    "SIMULCAST_WEBSOCKET_COMPRESSION",
):
    app.config[name] = os.environ.get(name)
simulcast = Simulcast(app)
sock = GuardedSock(simulcast, app)
take_as_given()
rooms = Blueprint("rooms", __name__, url_prefix="/rooms")
crowd: set[Connection] = set()
handled: list[str] = []
gate = Event()

#: As much as Autobahn sends, and without a limit on the rate.
_ANYTHING = {
    "message_bytes": 16 << 20,
    "fragments": 1 << 20,
    "messages_per_second": 0,
    "frames_per_second": 0,
}


@sock.route("/", limits=_ANYTHING, endpoint="autobahn")
@sock.route("/echo")
@sock.route("/text", text_only=True, endpoint="text")
def echo(ws: Connection) -> None:
    while True:
        ws.send(ws.receive())


@sock.route("/forgets/<how>")
def forgets(ws: Connection, how: str) -> None:
    """A handler that takes places and forgets to give them back."""
    for channel in ("a", "b"):
        subscription = simulcast.subscribe(ws, channel, is_beside=channel == "b")
        if how != "unstarted":
            subscription.start()
    if how == "fails":
        raise RuntimeError("on purpose")
    if how == "waits":
        ws.receive()


@sock.route("/always-compressed", limits=_ANYTHING)
def echo_compressed(ws: Connection) -> None:
    """Whatever the size, for kosoku: it fails itself where an answer is not compressed, as each may be (RFC 7692, 6)."""
    while True:
        message = ws.receive()
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        stream = zlib.compressobj(1, wbits=-9)  # the smallest window, which every client can inflate
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        ws.send_frame(frame(COMPRESSED | opcode, data[:-4]))


@sock.route("/notes")
def notes(ws: Connection) -> None:
    """Takes its time for each message."""
    while True:
        message = ws.receive()
        gevent.sleep(0.02)
        handled.append(str(message))


@sock.route("/deaf")
def deaf(ws: Connection) -> None:
    """Never reads, and sends nothing."""
    while ws.is_open:
        gevent.sleep(0.05)


@sock.route("/flood/<int:count>/<int:size>")
def flood(ws: Connection, count: int, size: int) -> None:
    """Send a number of messages of a given size, numbered."""
    for number in range(count):
        ws.send(f"{number:<10}".ljust(size, chr(97 + number % 26)))


@sock.route("/pair")
def pair(ws: Connection) -> None:
    """Two greenlets send at once, whatever comes."""

    def send(letter: str) -> None:
        for number in range(200):
            ws.send(letter * (1000 + number * 37))

    gevent.joinall([gevent.spawn(send, letter) for letter in "ab"], raise_error=True)


@sock.route("/crowd")
def join_crowd(ws: Connection) -> None:
    """Waits for what is sent to all."""
    crowd.add(ws)
    try:
        while True:
            ws.receive()
    finally:
        crowd.discard(ws)


@app.post("/crowd/<int:times>")
def send_to_crowd(times: int) -> str:
    """Send one frame to all, a number of times; ``{n}`` stands for the number."""
    data = request.get_data()
    for number in range(times):
        frame = text_frame(data.replace(b"{n}", str(number).encode()))
        for ws in list(crowd):
            ws.send_frame(frame)
    return ""


@sock.route("/fails")
def fails(ws: Connection) -> None:
    """With a secret in the text of its exception."""
    ws.receive()
    raise RuntimeError("password=hunter2")


@sock.route("/refuses")
def refuses(ws: Connection) -> None:
    """After the handshake, when HTTP is over."""
    raise UnauthorizedError("Not you. Get a token.")


@sock.route("/closes/<code>")
def closes(ws: Connection, code: str) -> None:
    """With a number, or with a reason of all transports."""
    ws.close(int(code), "as asked") if code.isdecimal() else ws.close(CloseReason(code))


@sock.route("/waits/<float:seconds>")
def waits(ws: Connection, seconds: float) -> None:
    """Tells what `receive` returns when nothing comes."""
    ws.send(repr(ws.receive(timeout=seconds)))


@sock.route("/spoken", subprotocols=["graphql-transport-ws", "mqtt"])
def spoken(ws: Connection) -> None:
    """Says what was agreed on."""
    ws.send(repr(ws.subprotocol))


@sock.route("/on/echo")
def on_echo(ws: Connection) -> None:
    """An echo without a greenlet between two messages."""
    ws.on_message = ws.send


@sock.route("/on/request/<room>")
def on_request(ws: Connection, room: str) -> None:
    """Tells what a message sees of the request, and fails if it is asked to."""
    g.entered = room

    def answer(message: str) -> None:
        if message == "fail":
            raise RuntimeError("password=hunter2")
        ws.send(f"{message} {g.entered} {request.path} {request.args['a']} {request.headers['X-Name']}")

    ws.on_message = answer
    ws.on_close = lambda: handled.append(f"closed {g.entered} {request.path}")


@sock.route("/on/gate")
def on_gate(ws: Connection) -> None:
    """Each message waits for the gate."""

    def answer(message: str) -> None:
        gate.wait()
        handled.append(message)
        ws.send(message)

    ws.on_message = answer
    ws.on_close = lambda: handled.append("closed")


@sock.route("/on/flood")
def on_flood(ws: Connection) -> None:
    """More than a client takes that does not read."""
    ws.on_message = lambda _: [ws.send("x" * 10_000) for _ in range(1000)]


@app.post("/gate/<int:is_open>")
def set_gate(is_open: int) -> str:
    """Open the gate, or close it."""
    gate.set() if is_open else gate.clear()
    return ""


@app.teardown_request
def tear_request_down(_: BaseException | None) -> None:
    """Remember it."""
    if request.path.startswith("/on/request/"):
        handled.append("request over")


@app.teardown_appcontext
def tear_context_down(_: BaseException | None) -> None:
    """Remember it."""
    if "entered" in g:
        handled.append("context over")


def check_key(room: str) -> None:
    """Who comes in must say so."""
    if request.args.get("key") != room:
        raise UnauthorizedError("Send the key of the room.")


@sock.route("/<room>", rooms, before=check_key)
def enter(ws: Connection, room: str) -> None:
    """Says hello."""
    ws.send(f"Welcome to {room}")


@app.get("/inspect")
def inspect() -> Response:
    """Greenlets, descriptors, counters."""
    return jsonify(
        greenlets=living_greenlets(),
        connections=len(living(Connection)),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        open=len(simulcast.connections.open),
        listeners=len(simulcast.hub.listeners),
        metrics=simulcast.metrics.snapshot(),
        handled=handled,
    )


@app.get("/ping")
def ping() -> str:
    """As little as a view can do."""
    return ""


@app.get("/page")
def page() -> str:
    """For a browser."""
    return "<!doctype html><title>page</title>"


app.register_blueprint(rooms)
