"""The console over two workers, with this machine's own wukong and with the real agent as a process.

Rows of the seed (000): `connected` with "Connected to <name>", `status` each second, and client messages handled. Its first
version reads in the loop that sends, and stands still until the client says something; tests with its number are about these.
"""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.tools.agents import agent
from tests.tools.fleet import JWT_KEY, Fleet, call, fleet, token
from tests.tools.serving import BEARER, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

WATCHER = {"subscribe": ["wukong:*"]}
OPERATOR = {"subscribe": ["wukong:*"], "publish": ["wukong-agent.*"]}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("ws-console")
    database = {"database_url": f"sqlite:///{folder}/service.db"}
    with fleet(folder, app="wsgi:app", anonymous_channels="", wukong_stale_seconds=2, **database) as running:
        yield running


def open_console(stack: ExitStack, server: Server, name: str, rights: dict[str, list[str]] = OPERATOR) -> JSONSocket:
    """The next message is the first `status`."""
    ws = stack.enter_context(JSONSocket(server, f"/ws/wukong/{name}", token("ann", **rights)))
    connected = ws.next()
    assert (connected["type"], connected["message"]) == ("connected", f"Connected to {name}")
    return ws


def report(server: Server, name: str, **data: Any) -> None:
    call(server, "PUT", f"/wukongs/{name}/status", data)


def refused(server: Server, path: str, headers: dict[str, str]) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        JSONSocket(server, path, headers)
    return caught.value


# The seed


@pytest.mark.alone
def test_seed_000_connected_says_to_which_and_a_status_follows_at_once_and_each_second(workers: Fleet) -> None:
    with ExitStack() as stack:
        console = open_console(stack, workers.one, "host")
        began = time.monotonic()
        first = console.next()
        assert time.monotonic() - began < 0.5
        statuses = [first, *console.take(3, "status")]
        assert all(one["data"]["kind"] == "host" and one["data"]["state"] == "online" for one in statuses)
        times = [one["data"]["time"] for one in statuses]
        assert all(500 < later - earlier < 3000 for earlier, later in itertools.pairwise(times[1:]))
    assert "Traceback" not in workers.one.log, "the last test of this module runs without this one"


def test_seed_000_statuses_flow_to_who_says_nothing_and_questions_are_answered_meanwhile(workers: Fleet) -> None:
    with ExitStack() as stack:
        silent, curious = open_console(stack, workers.one, "host"), open_console(stack, workers.two, "host")
        kinds = []
        for number in range(3):
            id = f"p{number}"
            curious.send({"type": "ping", "id": id})
            assert curious.until("reply", id=id)["result"]["time"] > 0
            kinds.append(curious.until("status")["type"])
        assert len(silent.take(3, "status")) == len(kinds) == 3


def test_seed_000_statuses_flow_while_a_command_waits_and_ping_overtakes_it(workers: Fleet, tmp_path: Path) -> None:
    """The agent is stopped, so that its answer takes as long as we like."""
    with agent(tmp_path, "slow", workers.two.port) as running, ExitStack() as stack:
        running.wait_for("Listens for commands.")
        console = open_console(stack, workers.one, "slow")
        console.until("status")
        running.process.send_signal(signal.SIGSTOP)
        try:
            console.send({"type": "command", "command": "uptime", "wait": 30, "id": "c"})
            assert console.ask({"type": "ping"}, "p")["type"] == "reply"
            report(workers.two, "slow", cpu_percent=7)
            assert console.until("status")["data"]["data"]
            assert console.ask({"type": "history", "limit": 1}, "h")["result"]["statuses"]
        finally:
            running.process.send_signal(signal.SIGCONT)
        answer = console.until("reply", id="c")["result"]
        assert answer["ok"] is True
        assert answer["output"]["process_seconds"] >= 0


# What one can ask


def test_a_command_goes_to_the_agent_and_its_answer_to_the_console_that_asked(workers: Fleet, tmp_path: Path) -> None:
    with agent(tmp_path, "obeys", workers.two.port) as running, ExitStack() as stack:
        running.wait_for("Listens for commands.")
        console, other = open_console(stack, workers.one, "obeys"), open_console(stack, workers.two, "obeys")
        answer = console.ask({"type": "command", "command": "processes", "args": {"limit": 2}}, "top")["result"]
        assert answer["ok"] is True
        assert len(answer["output"]["processes"]) == 2
        assert running.log.count(f"Command {answer['id']} carried out") == 1
        for text, code in (
            ({"type": "command", "command": "reboot"}, "unknown_command"),
            ({"type": "command", "command": "processes", "args": {"limit": 0}}, "invalid_args"),
        ):
            assert console.ask(text)["code"] == code
        assert other.ask({"type": "ping"})["type"] == "reply"
        assert {one["type"] for one in other.take(2)} == {"status"}


def test_this_machine_answers_commands_itself_and_refuses_what_it_can_not(workers: Fleet) -> None:
    with ExitStack() as stack:
        console = open_console(stack, workers.one, "host")
        assert console.ask({"type": "command", "command": "uptime"})["result"]["output"]["machine_seconds"] > 0
        refusal = console.ask({"type": "command", "command": "set_interval", "args": {"seconds": 5}})
        assert (refusal["type"], refusal["result"]["ok"]) == ("reply", False)


def test_a_command_to_an_absent_agent_is_an_error(workers: Fleet) -> None:
    report(workers.one, "deaf", cpu_percent=1)
    with ExitStack() as stack:
        console = open_console(stack, workers.two, "deaf")
        assert console.ask({"type": "command", "command": "ping"})["code"] == "agent_not_connected"


def test_more_commands_at_once_than_four_are_an_error(workers: Fleet, tmp_path: Path) -> None:
    with agent(tmp_path, "busy", workers.one.port) as running, ExitStack() as stack:
        running.wait_for("Listens for commands.")
        console = open_console(stack, workers.one, "busy")
        running.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(5):
                console.send({"type": "command", "command": "ping", "id": str(number)})
            error = console.until("error")
            assert (error["code"], error["id"]) == ("too_many_commands", "4")
        finally:
            running.process.send_signal(signal.SIGCONT)
        answers = console.take(4, "reply")
        assert {one["id"] for one in answers} == {"0", "1", "2", "3"}


def test_status_and_history_tell_what_is_and_what_was(workers: Fleet) -> None:
    for number in range(5):
        report(workers.one, "past", number=number)
    with ExitStack() as stack:
        console = open_console(stack, workers.two, "past")
        console.until("status")
        assert console.ask({"type": "status"})["result"]["data"] == {"number": 4}
        history = console.ask({"type": "history", "limit": 3})["result"]["statuses"]
        assert [one["data"]["number"] for one in history] == [2, 3, 4]
        assert len(console.ask({"type": "history"})["result"]["statuses"]) == 5


def test_set_interval_shows_the_newest_when_it_is_time_and_another_state_at_once(workers: Fleet) -> None:
    report(workers.one, "paced", number=0)
    with ExitStack() as stack:
        slow, fast = open_console(stack, workers.two, "paced"), open_console(stack, workers.two, "paced")
        for console in (slow, fast):
            console.until("status")
        assert slow.ask({"type": "set_interval", "seconds": 1.5}) == {
            "type": "reply",
            "id": "1",
            "result": {"seconds": 1.5},
        }
        report(workers.one, "paced", number=1)
        due = slow.until("status")
        began = time.monotonic()
        for number in (2, 3, 4):
            report(workers.one, "paced", number=number)
        assert [one["data"]["data"]["number"] for one in fast.take(4, "status")] == [1, 2, 3, 4]
        assert due["data"]["data"] == {"number": 1}
        assert slow.until("status")["data"]["data"] == {"number": 4}
        assert time.monotonic() - began > 1.2
        slow.ask({"type": "set_interval", "seconds": 60})
        call(workers.one, "DELETE", "/wukongs/paced", status=204)
        assert slow.until("status")["data"]["state"] == "removed"


BAD_INPUT = [
    ("", "not_json"),
    ("hello", "not_json"),
    ('{"type":"ping","id":1', "not_json"),
    ("[" * 10_000, "invalid_command"),
    ("null", "invalid_command"),
    ("{}", "invalid_command"),
    ('{"type":"ping"}', "invalid_command"),
    ('{"type":["ping"]}', "invalid_command"),
    ('{"type":"reboot","id":1}', "invalid_command"),
    ('{"type":"ping","id":1,"extra":1}', "invalid_command"),
    ('{"type":"set_interval","id":1}', "invalid_command"),
    ('{"type":"set_interval","id":1,"seconds":"1"}', "invalid_command"),
    ('{"type":"set_interval","id":1,"seconds":0.1}', "invalid_command"),
    ('{"type":"set_interval","id":1,"seconds":61}', "invalid_command"),
    ('{"type":"set_interval","id":1,"seconds":NaN}', "not_json"),
    ('{"type":"history","id":1,"limit":0}', "invalid_command"),
    ('{"type":"history","id":1,"limit":101}', "invalid_command"),
    ('{"type":"command","id":1}', "invalid_command"),
    ('{"type":"command","id":1,"command":"ping","args":[]}', "invalid_command"),
    ('{"type":"command","id":1,"command":"ping","wait":31}', "invalid_command"),
    ('{"type":"command","id":1,"command":"rm -rf /"}', "unknown_command"),
    ('{"type":"command","id":1,"command":"\\ud800"}', "invalid_command"),
    ('{"type":"command","id":1,"command":"processes","args":{"by":"\\ud800"}}', "invalid_args"),
    ('{"type":"command","id":1,"command":"processes","args":{"\\ud800":1}}', "invalid_args"),
]


def test_bad_input_is_an_error_and_the_connection_stays(workers: Fleet) -> None:
    with ExitStack() as stack:
        console = open_console(stack, workers.one, "host")
        for text, code in BAD_INPUT[:13]:
            console.send(text)
            assert console.until("error")["code"] == code, text[:80]
        assert console.until("status")
        console = open_console(stack, workers.one, "host")
        for text, code in BAD_INPUT[13:]:
            console.send(text)
            assert console.until("error")["code"] == code, text[:80]
        assert console.until("status")


def test_a_client_that_asks_too_much_is_closed_with_1008(workers: Fleet) -> None:
    with ExitStack() as stack:
        console = open_console(stack, workers.one, "host")
        with suppress(ConnectionClosed):  # the service might close it before the last of them
            for _ in range(40):
                console.send({"type": "ping", "id": 1})
        assert console.end().code == 1008


# Who may


def test_unknown_is_404_and_a_missing_right_is_401_or_403_before_the_handshake(workers: Fleet) -> None:
    watcher = token("ann", **WATCHER)
    assert refused(workers.one, "/ws/wukong/nobody", watcher).response.status_code == 404
    assert refused(workers.one, "/ws/wukong/a:b", watcher).response.status_code == 404
    assert refused(workers.one, "/ws/wukong/host", {}).response.status_code == 401
    assert refused(workers.one, "/ws/wukong/host", token("ann", subscribe=["x"])).response.status_code == 403
    foreign = BEARER | {"Origin": "https://elsewhere.example"}
    assert refused(workers.one, "/ws/wukong/host", foreign).response.status_code == 403


def test_a_client_that_may_only_watch_is_told_so(workers: Fleet) -> None:
    with ExitStack() as stack:
        console = open_console(stack, workers.one, "host", WATCHER)
        assert console.ask({"type": "command", "command": "uptime"})["code"] == "not_granted"
        assert console.ask({"type": "status"})["result"]["kind"] == "host"


# The end


def test_a_drain_says_1012_and_a_kick_has_its_code(tmp_path: Path) -> None:
    with fleet(tmp_path, app="wsgi:app") as workers, ExitStack() as stack:
        console = open_console(stack, workers.one, "host")
        kicked = stack.enter_context(JSONSocket(workers.one, "/ws/wukong/host", token("bob", **WATCHER)))
        listener = kicked.next()["listener"]
        call(workers.two, "DELETE", f"/listeners/{listener}", status=204)
        assert kicked.end().code == 4000
        workers.one.signal(signal.SIGTERM)
        assert console.end().code == 1012
        wait_until(lambda: workers.one.process.poll() is not None, 10, "the drained worker to end")
        assert "Traceback" not in workers.one.log


def test_idle_consoles_hold_no_greenlet_and_thirty_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    with serve(tmp_path, app="tests.apps.inspected:app", jwt_key=JWT_KEY) as server:

        def held() -> dict[str, int]:
            figures = server.get_json("/inspect")
            return {name: figures[name] for name in ("listeners", "channels", "audiences", "greenlets", "descriptors")}

        def come_and_go(number: int) -> None:
            with ExitStack() as stack:
                console = open_console(stack, server, "host")
                console.send({"type": "set_interval", "id": 1, "seconds": 60})
                console.send({"type": "command", "id": 2, "command": "uptime"})
                if number % 3 == 1:
                    console.send(b"binary")
                elif number % 3 == 2:
                    console.ws.socket.close()  # without a close frame

        come_and_go(0)
        wait_until(lambda: held()["listeners"] == 0, 10, "the first to leave")
        before = wait_until(lambda: (now := held()) == held() and now, 10, "peace")
        with ExitStack() as stack:
            report(server, "oven", number=0)
            consoles = [open_console(stack, server, "oven") for _ in range(10)]
            wait_until(lambda: held()["greenlets"] <= before["greenlets"], 10, "the consoles to be idle")
            report(server, "oven", number=1)
            for console in consoles:
                assert [one["data"]["data"]["number"] for one in console.take(2, "status")] == [0, 1]
        for number in range(30):
            come_and_go(number)
        wait_until(lambda: all(held()[name] <= before[name] for name in before), 15, f"{held()} to be {before}")
        assert server.get_json("/inspect")["metrics"]["simulcast_websocket_opened_total"] == 41
        assert "Traceback" not in server.log


def test_no_connection_of_this_module_made_an_error(workers: Fleet) -> None:
    for server in workers:
        assert "Traceback" not in server.log
        assert not [line for line in server.log.splitlines() if '"code": 1011' in line], json.dumps(server.log[-2000:])
