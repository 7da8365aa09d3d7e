"""What a client that commands an agent is told: the result, once, or why there is none."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.tools.agents import listener
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call
from tests.tools.redis_server import serve_redis
from tests.tools.serving import BEARER, Server, serve

# What is listed is open to no client without a token.
two = server_fixture(workers=2, jwt_key=JWT_KEY, anonymous_channels="")


def test_a_commander_is_told_the_result_of_its_command(two: Server) -> None:
    def code(name: str, body: Any, query: str = "") -> tuple[int, str]:
        status, _, text = two.request("POST", f"/api/v1/wukongs/{name}/commands{query}", body, BEARER)
        return status, json.loads(text)["error"]["code"]

    call(two, "PUT", "/wukongs/alone/status", {})
    ping = {"command": "ping"}
    assert code("nobody", ping) == (404, "no_such_wukong")
    assert code("worker-1", ping) == (404, "no_such_wukong")
    assert code("no%20name", ping) == (404, "no_such_wukong")
    assert code("alone", ping) == (409, "agent_not_connected")
    assert code("host", {"command": "sh"}) == (400, "unknown_command")
    assert code("host", {"command": "processes", "args": {"limit": 51}}) == (400, "invalid_args")
    assert code("host", {"command": "ping", "args": []}) == (400, "invalid_command")
    assert code("host", {"args": {}}) == (400, "invalid_command")
    assert code("host", b"{") == (400, "not_json")
    for wait in ("31", "-1", "x", "nan"):
        assert code("host", ping, f"?wait={wait}") == (400, "invalid_query")
    with listener(two, "alone"):
        began = time.monotonic()
        assert code("alone", ping, "?wait=0.5") == (504, "no_answer")
        assert 0.5 <= time.monotonic() - began < 3
    call(two, "GET", "/wukongs/host/commands", status=409)


def test_a_retried_command_is_the_same_one(two: Server) -> None:
    call(two, "PUT", "/wukongs/retried/status", {})
    headers = BEARER | {"Idempotency-Key": "click-1"}
    with listener(two, "retried") as client:
        ids = {
            call(two, "POST", "/wukongs/retried/commands", {"command": "ping"}, headers, status=202)["id"]
            for _ in range(4)
        }
        last = call(two, "POST", "/wukongs/retried/commands", {"command": "ping"}, status=202)["id"]
        assert len(ids) == 1
        assert [block.json["id"] for block in client.take(2, "command")] == [*ids, last]
        answer = {"id": ids.pop(), "ok": True, "output": {"time": 1}}
        two.publish("wukong-replies.retried", {"ok": 1}, [], answer, type="command-result")
        late = call(two, "POST", "/wukongs/retried/commands?wait=5", {"command": "ping"}, headers)
        assert late == answer, "who asks again with its key gets the answer that came meanwhile"


def test_a_command_that_was_sent_is_not_said_to_be_not_stored_when_the_log_goes_away(tmp_path: Path) -> None:
    """sec F8, its sibling: who waited was told 503 "Nothing was stored; try again"."""
    with (
        serve_redis(tmp_path / "redis") as redis,
        serve(tmp_path / "server", broker_url=redis.url, broker_seconds=0.5) as server,
    ):
        call(server, "PUT", "/wukongs/sent/status", {})
        with listener(server, "sent") as client:
            answers: list[Any] = []
            path = "/api/v1/wukongs/sent/commands?wait=4"
            waiting = threading.Thread(
                target=lambda: answers.append(server.request("POST", path, {"command": "ping"}, BEARER))
            )
            waiting.start()
            id = client.until("command").json["id"]
            redis.stop()
            waiting.join(30)
        (status, _, body) = answers[0]
        assert (status, json.loads(body)["error"]["code"]) == (504, "no_answer")
        assert id in json.loads(body)["error"]["message"]


def test_an_answer_that_is_no_unicode_is_handed_on(two: Server, tmp_path: Path) -> None:
    """The name of a process may be any bytes."""
    call(two, "PUT", "/wukongs/odd/status", {})
    headers = BEARER | {"Idempotency-Key": "odd"}
    with listener(two, "odd"):
        id = call(two, "POST", "/wukongs/odd/commands", {"command": "status"}, headers, status=202)["id"]
        answer = {"id": id, "ok": True, "output": {"name": "\udcff"}}
        two.publish("wukong-replies.odd", answer, type="command-result")
        assert call(two, "POST", "/wukongs/odd/commands?wait=5", {"command": "status"}, headers) == answer


def test_a_waiting_commander_is_sent_on_when_the_worker_stops(tmp_path: Path) -> None:
    with serve(tmp_path, jwt_key=JWT_KEY) as server:
        call(server, "PUT", "/wukongs/slow/status", {})
        with listener(server, "slow") as client:
            answers: list[Any] = []
            waits = threading.Thread(
                target=lambda: answers.append(
                    server.request("POST", "/api/v1/wukongs/slow/commands?wait=30", {"command": "ping"}, BEARER)
                )
            )
            waits.start()
            client.until("command")
            server.signal(signal.SIGTERM)
            waits.join(10)
            server.process.wait(10)
        assert (answers[0][0], json.loads(answers[0][2])["error"]["code"]) == (503, "draining")
