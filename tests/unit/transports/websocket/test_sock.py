"""Routes for WebSockets: the configuration of flask-sock, and requests that are none."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask

from app.flask_simulcast import GuardedSock, SettingError, Simulcast
from app.flask_simulcast.errors import StreamingNotSupportedError
from app.flask_simulcast.transports.websocket.options import Options

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


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
    with pytest.raises(StreamingNotSupportedError, match="or gunicorn"):
        app.test_client().get("/ws", headers=headers, environ_overrides={"SERVER_PROTOCOL": "HTTP/1.1"})
    with app.app_context():
        assert simulcast.metrics.value("websocket_refused_total", "streaming_not_supported") == 1
