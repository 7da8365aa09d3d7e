"""What operators are told of listeners: each incident, however long its names are, and who is behind, while an operator watches."""

from __future__ import annotations

from typing import Any

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server, wait_until

server = server_fixture(jwt_key=JWT_KEY)
STREAM = "/api/v1/ops/stream"
LAGS = "operations:lags"


def looks(server: Server) -> int:
    """When the worker looked at its machine, last: Unix ms."""
    rows = call(server, "GET", "/ops")["rows"]
    return int(rows[-1]["time"]) if rows else 0


def lags(server: Server) -> list[dict[str, Any]]:
    """What the log has of listeners that are behind."""
    events = call(server, "GET", f"/channels/{LAGS}/history?limit=100")["events"]
    return [event["data"]["listeners"] for event in events]


def test_operator_gets_every_incident_when_a_hundred_listeners_with_long_names_leave_at_once(server: Server) -> None:
    channels = [f"{number}{'x' * 127}" for number in range(5)]
    query = "&".join(f"channel={name}" for name in channels)
    left: set[str] = set()
    with SSEClient(server.port, STREAM, headers=BEARER) as operator:
        operator.until("connected")
        crowd = [
            SSEClient(server.port, f"/api/v1/stream?{query}", headers=token("u" * 128, subscribe=["*"]))
            for _ in range(90)
        ]
        left = {client.until("connected").json["listener"] for client in crowd}
        for client in crowd:
            client.close()
        told: set[str] = set()
        while not left <= told:
            told |= {one["listener"] for one in operator.until("incidents").json}


def test_listener_that_is_behind_is_told_only_while_an_operator_watches(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=slow", headers=token("carl", subscribe=["slow"])) as carl:
        listener = carl.until("connected").json["listener"]
        for _ in range(160):  # more than the sockets and its queue take
            server.publish("slow", "x" * 60_000)
        first = looks(server)
        wait_until(lambda: looks(server) > first + 8_000, 20, "two looks at a listener that is behind")
        assert lags(server) == []
        with SSEClient(server.port, STREAM, headers=BEARER) as operator:
            while listener not in operator.until("lags").json["listeners"]:
                pass
        wait_until(lambda: lags(server)[-1] == {}, 20, "the next operator not to begin with what was")
