"""The real agent against real workers: it reports, it obeys, it stops, and it takes orders only from those that may give them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.tools.agents import agent, agent_token, listener, order, results, state
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server, wait_until

haunted = server_fixture(jwt_key=JWT_KEY, presence_channels="*")
# What is listed is open to no client without a token.
two = server_fixture(workers=2, jwt_key=JWT_KEY, wukong_stale_seconds=2, anonymous_channels="")


# At work


def test_an_agent_reports_its_machine_each_second(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "each-second", two.port) as running:
        running.wait_for("Reports as each-second.")
        with SSEClient(two.port, "/api/v1/wukongs/each-second/stream", headers=BEARER) as client:
            connected, *statuses = client.take(5)
        assert connected.type == "connected"
        assert [block.type for block in statuses] == ["status"] * 4
        times = [block.json["time"] for block in statuses]
        assert all(500 < later - earlier < 3000 for earlier, later in itertools.pairwise(times[1:]))
        status = statuses[-1].json
        assert (status["name"], status["kind"], status["state"]) == ("each-second", "agent", "online")
        host = call(two, "GET", "/wukongs/host")["data"]
        assert status["data"].keys() == host.keys(), "the same figures as of this machine"
        assert status["data"]["memory_total_bytes"] == host["memory_total_bytes"]


def test_every_command_is_answered_by_an_agent_and_by_this_machine(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "obeys", two.port) as running:
        running.wait_for("Listens for commands.")
        for name in ("obeys", "host", f"worker-{two.workers[0]}"):
            assert abs(order(two, name, "ping")["output"]["time"] / 1000 - time.time()) < 15
            assert "cpu_percent" in order(two, name, "status")["output"]
            uptime = order(two, name, "uptime")["output"]
            assert uptime["machine_seconds"] > uptime["process_seconds"] >= 0
            processes = order(two, name, "processes", {"limit": 3, "by": "memory"})["output"]["processes"]
            sizes = [one["memory_bytes"] for one in processes]
            assert sizes == sorted(sizes, reverse=True)
            assert len(processes) == (1 if name.startswith("worker") else 3)
            assert all(one["pid"] and one["name"] for one in processes)
        # The agent itself may be too small for a list of fifty; this process is not.
        assert os.getpid() in [
            one["pid"] for one in order(two, "obeys", "processes", {"limit": 50, "by": "memory"})["output"]["processes"]
        ]


def test_the_answer_to_one_who_does_not_wait_is_on_the_channel_of_replies(two: Server, tmp_path: Path) -> None:
    headers = token("op", subscribe=["wukong-replies.*"], publish=["wukong-agent.*"])
    with agent(tmp_path, "later", two.port) as running:
        running.wait_for("Listens for commands.")
        for name in ("later", "host"):
            full = call(two, "GET", f"/wukongs/{name}")["name"]
            with SSEClient(two.port, f"/api/v1/stream?channel=wukong-replies.{full}", headers=headers) as client:
                client.until("connected")
                sent = call(two, "POST", f"/wukongs/{name}/commands", {"command": "ping"}, headers, status=202)
                answer = client.until("command-result").json
                assert (answer["id"], answer["ok"], list(answer["output"])) == (sent["id"], True, ["time"])


def test_set_interval_changes_how_often_it_reports(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "quick", two.port, "--interval", "30") as running:
        running.wait_for("Listens for commands.")
        with SSEClient(two.port, "/api/v1/wukongs/quick/stream", headers=BEARER) as client:
            client.until("status")
            assert order(two, "quick", "set_interval", {"seconds": 0.2})["output"] == {"seconds": 0.2}
            began = time.monotonic()
            client.take(6, "status")
            assert time.monotonic() - began < 5, "five intervals are one second"
    fixed = order(two, "host", "set_interval", {"seconds": 2})
    assert (fixed["ok"], "each second" in fixed["error"]) == (False, True)


def test_one_that_reports_seldom_is_not_taken_for_offline(two: Server, tmp_path: Path) -> None:
    """Stale after 2 s, with 3 s between reports."""
    with agent(tmp_path, "seldom", two.port, "--interval", "3") as running:
        running.wait_for("Reports as")
        with SSEClient(two.port, "/api/v1/wukongs/seldom/stream", headers=BEARER) as client:
            assert [block.json["state"] for block in client.take(3, "status")] == ["online"] * 3


def test_an_agent_that_is_killed_goes_offline_and_comes_back(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "killed", two.port, "--interval", "0.5") as first:
        first.wait_for("Listens for commands.")
        with SSEClient(two.port, "/api/v1/wukongs/killed/stream", headers=BEARER) as client:
            client.take(2, "status")
            first.process.kill()
            killed = time.monotonic()
            while client.until("status").json["state"] == "online":
                pass
            assert 1 < time.monotonic() - killed < 6, "stale after 2 s, and a sample each second"
            wait_until(lambda: _status(two, "killed") == 409, 10, "the agent to be gone")
            with agent(tmp_path, "killed", two.port) as again:
                assert client.until("status").json["state"] == "online"
                again.wait_for("Listens for commands.", 2)
                assert order(two, "killed", "ping")["ok"]


def _status(server: Server, name: str) -> int:
    body = {"command": "ping"}
    return server.request("POST", f"/api/v1/wukongs/{name}/commands", body, BEARER)[0]


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["module", "flask"])
def test_it_stops_cleanly(two: Server, tmp_path: Path, command: str, number: int) -> None:
    with agent(tmp_path, "stops", two.port, command=command) as running:
        running.wait_for("Listens for commands.")
        line = Path(f"/proc/{running.process.pid}/cmdline").read_bytes().split(b"\0")
        assert line[1:3] == [b"-m", b"app.features.wukongs.agent"], "a plain process, whatever started it"
        began = time.monotonic()
        assert running.stop(number) == 0
        assert time.monotonic() - began < 3
        assert "Traceback" not in running.log


def test_it_stops_while_it_can_not_reach_the_service(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        with agent(tmp_path, "lonely", silent.getsockname()[1], token="x") as running:
            with silent.accept()[0]:
                assert running.stop() == 0


# Who may


def test_a_token_of_one_agent_is_of_no_use_as_another(two: Server) -> None:
    call(two, "PUT", "/wukongs/other/status", {})
    mine = {"Authorization": f"Bearer {agent_token('mine')}"}
    call(two, "PUT", "/wukongs/mine/status", {}, mine)
    for method, path, body in (
        ("PUT", "/wukongs/other/status", {}),
        ("DELETE", "/wukongs/other", None),
        ("GET", "/wukongs/other/commands", None),
        ("GET", "/wukongs/other", None),
        ("GET", "/stream?channel=wukong-agent.other", None),
        ("POST", "/wukongs/other/commands", {"command": "ping"}),
        ("POST", "/wukongs/mine/commands", {"command": "ping"}),
        ("POST", "/wukongs/host/commands", {"command": "ping"}),
        ("POST", "/events", {"channel": "wukong-replies.other", "type": "command-result", "data": {}}),
        ("POST", "/events", {"channel": "wukong-agent.mine", "type": "command", "data": {}}),
    ):
        assert call(two, method, path, body, mine, status=403)["error"]["code"] == "not_granted", (method, path)
    call(two, "DELETE", "/wukongs/mine", headers=mine, status=204)
    call(two, "POST", "/wukongs/other/commands", {"command": "ping"}, {}, status=401)
    call(two, "GET", "/wukongs/other/commands", headers={}, status=401)


@pytest.mark.parametrize(
    ("name", "user"),
    [("ghost", "agent"), ("ghost1", " agent"), ("ghost2", "\tagent"), ("ghost3", "?agent"), ("ghost4", "\\nagent")],
)
def test_a_user_who_only_listens_is_not_taken_for_the_agent(haunted: Server, name: str, user: str) -> None:
    """sec "the agent's ghost": commands went to them, and were 202 instead of 409."""
    path = f"/wukongs/{name}/commands"
    call(haunted, "PUT", f"/wukongs/{name}/status", {})
    hear = {"path": f"/api/v1/stream?channel=wukong-agent.{name}"}
    with SSEClient(haunted.port, **hear, headers=token(user, subscribe=[f"wukong-agent.{name}"])) as ghost:
        ghost.until("connected")
        presence = f"/channels/wukong-agent.{name}/presence"
        wait_until(lambda: call(haunted, "GET", presence)["count"] == 1, 5, "the ghost to be listed")
        assert call(haunted, "POST", path, {"command": "ping"}, status=409)["error"]["code"] == "agent_not_connected"
        # Nor do others, who come first in the order of names, hide an agent that is there.
        with SSEClient(haunted.port, **hear, headers=token("\x01", subscribe=[f"wukong-agent.{name}"])) as other:
            other.until("connected")
            with listener(haunted, name):
                assert call(haunted, "POST", path, {"command": "ping"}, status=202)["id"]


def test_a_right_to_broadcast_does_not_command_agents(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "deaf", two.port) as running:
        running.wait_for("Listens for commands.")
        forged = {"type": "command", "data": {"id": "f0f0f0f0", "command": "set_interval", "args": {"seconds": 60}}}
        call(two, "POST", "/broadcast", forged, status=201)
        call(two, "POST", "/users/deaf/events", forged, status=201)
        assert order(two, "deaf", "ping")["ok"]
        assert "f0f0f0f0" not in running.log


def test_a_command_that_was_not_checked_by_the_service_is_checked_by_the_agent(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "wary", two.port) as running:
        running.wait_for("Listens for commands.")
        bad = [{"id": "b1", "command": "sh", "args": {"c": "id"}}, {"id": "b2", "command": "ping", "args": []}]
        bad += [{"id": "b3", "command": "set_interval", "args": {"seconds": 0}}, {"id": "b4"}]
        two.publish("wukong-agent.wary", *bad, "no object", {"command": "ping"}, type="command")
        assert order(two, "wary", "ping")["ok"]
        answers = {answer["id"]: answer for answer in results(two, "wary")}
        for id in ("b1", "b2", "b3", "b4"):
            assert (answers[id]["ok"], bool(answers[id]["error"])) == (False, True)


def test_an_agent_that_is_refused_from_the_start_says_why_and_ends(two: Server, tmp_path: Path) -> None:
    forged = mint("x" * 32, seconds=60, publish=["wukong:refused"])
    refused = [
        ("forged", forged, "401: The token is signed with another key"),
        ("stranger", agent_token("somebody"), "403: Your token does not let you publish"),
        ("host", agent_token("host"), "403: Your token"),  # an alias of this machine's name
        ("broken", "a\tb", "characters that no token has"),
        ("none", "", "There is no token. Set SIMULCAST_AGENT_TOKEN"),
    ]
    with contextlib.ExitStack() as stack:
        agents = [stack.enter_context(agent(tmp_path, name, two.port, token=given)) for name, given, _ in refused]
        for running, (_, given, said) in zip(agents, refused, strict=True):
            assert running.process.wait(30) in (1, 2)
            assert said in running.log
            assert not given or given not in running.log
            assert "Traceback" not in running.log


def test_the_token_is_in_no_list_of_processes_and_may_be_replaced_in_its_file(two: Server, tmp_path: Path) -> None:
    rights = {"publish": ["wukong:rotates", "wukong-replies.rotates"], "subscribe": ["wukong-agent.rotates"]}
    file = tmp_path / "token"
    file.write_text(mint(JWT_KEY, seconds=6, **rights) + "\n")
    with agent(tmp_path, "rotates", two.port, "--token-file", str(file), token="") as running:
        running.wait_for("Listens for commands.")
        running.wait_for("expired")
        file.write_text(mint(JWT_KEY, seconds=600, **rights))
        running.wait_for("Listens for commands.", 2)
        assert order(two, "rotates", "ping")["ok"]
    secret = agent_token("hidden")
    with agent(tmp_path, "hidden", two.port, "--token", secret, token="", command="flask") as running:
        running.wait_for("Reports as")
        assert secret.encode() not in Path(f"/proc/{running.process.pid}/cmdline").read_bytes()


def test_without_the_right_to_listen_it_reports_all_the_same(two: Server, tmp_path: Path) -> None:
    with agent(tmp_path, "mute", two.port, token=agent_token("mute", subscribe=[])) as running:
        running.wait_for("Reports as mute.")
        running.wait_for("No commands: 403: Your token")
        assert state(two, "mute") == "online"
