"""The real agent, cut off, beside workers that are killed, and through a reload and a restart: each command once."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.tools.agents import CARRIED_OUT, agent, order, results, state
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call
from tests.tools.relay import Relay
from tests.tools.serving import BEARER, GRACE_SECONDS, Server, serve, wait_until

two = server_fixture(workers=2, jwt_key=JWT_KEY, wukong_stale_seconds=2, anonymous_channels="")


def test_a_command_sent_while_the_agent_is_cut_off_is_carried_out_when_it_is_back(two: Server, tmp_path: Path) -> None:
    with Relay(two.port) as relay, agent(tmp_path, "cut", relay.port) as running:
        running.wait_for("Listens for commands.")
        assert order(two, "cut", "ping")["ok"]
        relay.block()
        sent = call(two, "POST", "/wukongs/cut/commands", {"command": "uptime"}, status=202)
        running.wait_for("Not reported")  # not the stream: perhaps the agent still sends its last answer
        relay.open()
        wait_until(lambda: sent["id"] in {answer["id"] for answer in results(two, "cut")}, 15, "the answer")
        assert order(two, "cut", "ping")["ok"]
        assert set(Counter(CARRIED_OUT.findall(running.log)).values()) == {1}
        assert "may be missing" not in running.log


def test_it_waits_as_long_as_the_service_asks(tmp_path: Path) -> None:
    """Busy, with Retry-After: 2, then there."""
    asked: list[float] = []

    def answer(listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                asked.append(time.monotonic())
                client.sendall(
                    b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                )

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        with agent(tmp_path, "patient", listening.getsockname()[1], token="x"):
            wait_until(lambda: len(asked) >= 3, 15)
        listening.shutdown(socket.SHUT_RDWR)
    assert all(later - earlier >= 1.9 for earlier, later in itertools.pairwise(asked))


def test_each_command_once_while_workers_are_killed(tmp_path: Path) -> None:
    with serve(tmp_path / "server", workers=2, jwt_key=JWT_KEY) as server:
        with agent(tmp_path, "steady", server.port) as running:
            running.wait_for("Listens for commands.")
            sent: list[str] = []
            for number in range(60):
                if number % 10 == 5:
                    booted = 2 + number // 10
                    wait_until(
                        lambda booted=booted: server.log.count("Booting worker") == booted,
                        15,
                        "the last one's successor",
                    )
                    os.kill(server.workers[booted % 2], signal.SIGKILL)
                sent.append(_send_surely(server, "steady", f"n-{number}"))
            wait_until(lambda: {answer["id"] for answer in results(server, "steady")} >= set(sent), 30, "all answers")
            assert Counter(CARRIED_OUT.findall(running.log)) == dict.fromkeys(sent, 1)
            assert Counter(answer["id"] for answer in results(server, "steady")) == dict.fromkeys(sent, 1)
            wait_until(lambda: server.log.count("Booting worker") == 8, 15, "six to have been killed")


def _send_surely(server: Server, name: str, key: str) -> str:
    """Send a command until it is accepted, whichever worker dies, and wherever the agent is."""
    deadline = time.monotonic() + 20
    while True:
        try:
            status, _, body = server.request(
                "POST", f"/api/v1/wukongs/{name}/commands", {"command": "ping"}, BEARER | {"Idempotency-Key": key}
            )
            if status == 202:
                return str(json.loads(body)["id"])
            assert status in (409, 503), body
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_goes_on_after_a_reload_and_a_restart_of_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    settings: dict[str, Any] = {"workers": 2, "jwt_key": JWT_KEY, "constants": {GRACE_SECONDS: 30}}
    with Relay(0) as relay:
        with serve(folder, **settings) as server:
            relay.target = server.port
            with agent(tmp_path, "survivor", relay.port) as running:
                running.wait_for("Listens for commands.")
                before = order(server, "survivor", "ping")
                old = set(server.workers)
                server.signal(signal.SIGHUP)
                wait_until(lambda: len(server.workers) == 2 and not old & set(server.workers), 15, "new workers")
                running.wait_for("Listens for commands.", 2)
                between = order(server, "survivor", "ping")
                server.stop()
                running.wait_for("Not reported")
                relay.block()
                with serve(folder, **settings) as again:
                    sent = call(again, "POST", "/wukongs/survivor/commands", {"command": "ping"}, status=202)
                    relay.target = again.port
                    relay.open()
                    running.wait_for("Listens for commands.", 3, seconds=40)
                    last = order(again, "survivor", "ping", wait=20)
                    wait_until(lambda: state(again, "survivor") == "online", 30)
                    ids = [before["id"], between["id"], sent["id"], last["id"]]
                    assert CARRIED_OUT.findall(running.log) == ids
                    assert [answer["id"] for answer in results(again, "survivor")] == ids
                    assert "may be missing" not in running.log
