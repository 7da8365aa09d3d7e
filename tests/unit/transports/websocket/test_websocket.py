"""What is decided without a socket: the handshake, the close_codes, the bounds, the pulse."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask

from app.flask_simulcast import (
    CloseReason,
    GuardedSock,
    HandshakeError,
    SettingError,
    Settings,
    Simulcast,
    StreamingNotSupportedError,
    UpgradeRequiredError,
)
from app.flask_simulcast.transports.websocket import close_codes, handshake
from app.flask_simulcast.transports.websocket.keepalive import Keepalive
from app.flask_simulcast.transports.websocket.limits import Bucket, Limits
from app.flask_simulcast.transports.websocket.options import Options

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def environ(**others: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "keep-alive, Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "wsgi.input": io.BytesIO(),
    } | others


def test_the_answer_is_the_one_of_the_rfc() -> None:
    answer = handshake.accepted(handshake.check(environ()))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"Extensions" not in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "others",
    [{"HTTP_UPGRADE": ""}, {"HTTP_UPGRADE": "h2c"}, {"HTTP_CONNECTION": "keep-alive"}, {"HTTP_SEC_WEBSOCKET_VERSION": "8"}],
)  # fmt: skip
def test_who_does_not_want_a_websocket_is_told_how_to(others: dict[str, str]) -> None:
    with pytest.raises(UpgradeRequiredError) as raised:
        handshake.check(environ(**others))
    assert raised.value.status == 426


early = SimpleNamespace(reader=SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(b"\x81\x80"))))


@pytest.mark.parametrize(
    "others",
    [
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"HTTP_HOST": ""},
        {"HTTP_SEC_WEBSOCKET_VERSION": None},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="},
        {"HTTP_SEC_WEBSOCKET_KEY": KEY[:-2]},
        {"HTTP_SEC_WEBSOCKET_KEY": KEY + "\u00e9"},
        {"CONTENT_LENGTH": "3"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"wsgi.input": early},
    ],
)
def test_what_is_no_handshake_is_refused(others: dict[str, Any]) -> None:
    asked = {name: value for name, value in environ(**others).items() if value is not None}
    with pytest.raises(HandshakeError) as raised:
        handshake.check(asked)
    assert raised.value.status == 400


# Endings


def test_every_reason_has_a_code_and_one_that_agrees_with_sse_on_coming_back() -> None:
    assert set(close_codes.CLOSE_CODES) == set(CloseReason)
    for reason, ending in close_codes.CLOSE_CODES.items():
        assert ending.reconnect is reason.reconnect, reason
        assert ending.name == reason.value


def test_private_codes_say_themselves_whether_to_come_back() -> None:
    everything = [*close_codes.CLOSE_CODES.values(), *close_codes.OF_WEBSOCKET]
    for ending in everything:
        if ending.code >= 4000:
            assert ending.reconnect is (ending.code < 4500)
        assert len(ending.reason.encode()) <= 123
    assert len({ending.name for ending in everything}) == len(everything)


@pytest.mark.parametrize("code", [0, 999, 1002, 1004, 1005, 1006, 1010, 1015, 2000, 5000])
def test_a_handler_can_t_send_what_must_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_codes.of_code(code, "")


# Bounds


def test_a_bucket_holds_two_seconds_and_fills_with_time() -> None:
    bucket = Bucket(8, now=100)
    assert bucket.take(16, 100)
    assert not bucket.take(1, 100)
    assert not bucket.take(2, 100.125)
    assert bucket.take(1, 100.125)
    assert bucket.take(16, 200), "never more than two seconds' worth"
    assert not bucket.take(1, 200)


def test_a_bucket_that_says_no_takes_nothing() -> None:
    bucket = Bucket(1, now=0)
    assert not bucket.take(3, 0)
    assert bucket.take(2, 0)


def test_without_a_rate_anything_goes() -> None:
    assert Bucket(0, now=0).take(1 << 40, 0)


def test_limits_come_from_the_settings() -> None:
    settings = Settings(max_event_bytes=10_000, heartbeat_seconds=3)
    limits = Limits.of(settings, fragments=7)
    assert (limits.message_bytes, limits.heartbeat_seconds, limits.fragments) == (20_000, 3, 7)
    assert Limits.of(Settings()) == Limits(), "one default, said twice"


def test_a_wrong_limit_does_not_wait_for_the_first_client() -> None:
    app = Flask(__name__)
    with pytest.raises(TypeError, match="message_size"):
        GuardedSock(Simulcast(), app).route("/x", limits={"message_size": 1})


# Keepalive


def test_a_silent_client_is_pinged_again_and_again_and_then_given_up() -> None:
    pulse = Keepalive(15, 60, now=0)
    assert (pulse.ping_at, pulse.stalls_at) == (15, float("inf"))
    pulse.asked(15)
    assert (pulse.ping_at, pulse.stalls_at) == (30, 75)
    pulse.asked(30)
    assert (pulse.ping_at, pulse.stalls_at) == (45, 75), "the first ping counts"
    pulse.beat(40)
    assert (pulse.ping_at, pulse.stalls_at) == (55, float("inf"))


# flask-sock


def test_flask_sock_s_own_configuration_is_read_as_ours() -> None:
    """Bug F7."""
    options = Options.of({"SOCK_SERVER_OPTIONS": {"subprotocols": "mqtt", "max_message_size": 7, "ping_interval": 2.5}})
    assert options == (("mqtt",), {"message_bytes": 7, "heartbeat_seconds": 2.5})
    unset = {"subprotocols": None, "max_message_size": None, "ping_interval": None}
    assert Options.of({"SOCK_SERVER_OPTIONS": unset}) == Options.of({}) == ((), {})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"receive_bytes": 4096}, "receive_bytes"),
        ({"thread_class": object, "subprotocols": []}, "thread_class"),
        ({"max_message_size": "1 MB"}, "1 MB"),
        ({"ping_interval": 0}, "ping_interval"),
        ({"subprotocols": ["a b"]}, "a b"),
    ],
)
def test_what_can_t_be_followed_of_flask_sock_s_configuration_stops_the_start(
    options: dict[str, object], named: str
) -> None:
    """Bug F7: not in silence, wherever the routes are registered."""
    app = Flask(__name__)
    app.config |= {"SIMULCAST_BROKER_URL": "memory://", "SOCK_SERVER_OPTIONS": options}
    simulcast = Simulcast(app)
    with pytest.raises(SettingError, match=named):
        GuardedSock(simulcast, app)
    late = GuardedSock(simulcast)
    late.route("/late")(lambda ws: None)
    with pytest.raises(SettingError, match=named):
        late.init_app(app)
    blueprint = Blueprint("blueprint", __name__)
    GuardedSock(simulcast).route("/ws", blueprint)(lambda ws: None)
    with pytest.raises(SettingError, match=named):
        app.register_blueprint(blueprint)


def test_a_subprotocol_that_can_t_stand_in_a_header_does_not_wait_for_the_first_client() -> None:
    app = Flask(__name__)
    with pytest.raises(ValueError, match="for example mqtt"):
        GuardedSock(Simulcast(), app).route("/x", subprotocols=["mqtt", "mq\r\ntt"])


def test_a_route_without_an_app_comes_with_init_app() -> None:
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    sock = GuardedSock(Simulcast(app))
    sock.route("/late")(lambda ws: None)
    sock.init_app(app)
    assert app.test_client().get("/late").status_code == 426


def test_a_plain_request_is_told_how_to_come_and_a_websocket_where_none_is() -> None:
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    sock = GuardedSock(Simulcast(app), app)
    sock.route("/ws")(lambda ws: None)
    app.get("/plain", endpoint="plain")(lambda: "")
    client = app.test_client()
    answer = client.get("/ws")
    assert answer.status_code == 426
    assert answer.json["error"]["code"] == "upgrade_required"
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert answer.headers["Upgrade"] == "websocket"
    asked = client.get("/plain", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert (asked.status_code, asked.json["error"]["code"]) == (400, "handshake")


def test_where_there_is_no_socket_there_is_no_websocket() -> None:
    app = Flask(__name__)
    app.config |= {"SIMULCAST_BROKER_URL": "memory://", "TESTING": True}
    simulcast = Simulcast(app)
    sock = GuardedSock(simulcast, app)
    sock.route("/ws")(lambda ws: None)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    with pytest.raises(StreamingNotSupportedError, match="gunicorn -k gevent"):
        app.test_client().get("/ws", headers=headers, environ_overrides={"SERVER_PROTOCOL": "HTTP/1.1"})
    with app.app_context():
        assert simulcast.metrics.value("websocket_refused_total", "streaming_not_supported") == 1
