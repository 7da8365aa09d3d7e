"""The chat over WebSocket, two workers: one user acts at one worker, and the others are told at both; some by SSE.

The rows of the seed (004) are ChatRoom's Join, Leave and Broadcast, and the two pumps; tests with these names are theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import CHAT, JWT_KEY, Fleet, call, connect, fleet, token
from tests.tools.serving import CHAT_BURST_SECONDS, GRACE_SECONDS, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

RIGHTS = ["chat.*"]


workers = fleet_fixture(app="tests.apps.inspected:app", **CHAT)


def of(user: str, **claims: Any) -> dict[str, str]:
    """The header of a user with all rights in every room."""
    return token(user, subscribe=RIGHTS, publish=RIGHTS, **claims)


def enter(stack: ExitStack, server: Server, room: str, user: str, query: str = "") -> JSONSocket:
    """Come in; the next message is `history`, or what was missed."""
    ws = stack.enter_context(JSONSocket(server, f"/ws/chat/{room}?{query}", of(user)))
    ws.until("connected")
    return ws


def enter_by_sse(stack: ExitStack, server: Server, room: str, user: str) -> SSEClient:
    client = stack.enter_context(SSEClient(server.port, f"/api/v1/chat/{room}/stream", headers=of(user)))
    connect(client)
    return client


def say(server: Server, room: str, user: str, *texts: str) -> None:
    for text in texts:
        call(server, "POST", f"/chat/{room}/message", {"message": text}, of(user), 201)


def said(ws: JSONSocket, count: int) -> list[tuple[str, str]]:
    return [(one["user"], one["message"]) for one in ws.take(count, "message")]


def refused(server: Server, path: str, headers: dict[str, str]) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        JSONSocket(server, path, headers)
    return caught.value


# The seed


def test_seed_004_broadcast_reaches_people_of_both_workers_by_websocket_and_sse_in_one_order(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "broadcast", "ann")
        bob = enter(stack, workers.two, "broadcast", "bob")
        cyd = enter_by_sse(stack, workers.two, "broadcast", "cyd")
        for number in range(20):
            answer = ann.ask({"type": "message", "message": f"a{number}"}, str(number)) if number % 2 else None
            assert answer is None or answer["type"] == "reply"
            if not number % 2:
                say(workers.two, "broadcast", "cyd", f"c{number}")
        expected = [("ann", f"a{n}") if n % 2 else ("cyd", f"c{n}") for n in range(20)]
        assert said(bob, 20) == expected
        assert [(one.json["user"], one.json["message"]) for one in cyd.take(20, "message")] == expected


def test_seed_004_a_message_says_who_what_when_and_where_it_stands(workers: Fleet) -> None:
    with ExitStack() as stack:
        bob = enter(stack, workers.two, "fields", "bob")
        ann = enter(stack, workers.one, "fields", "ann")
        ann.send({"type": "message", "message": "小明 👩‍👩‍👧", "id": "7"})
        message = bob.until("message")
        position, timestamp = message["id"], message["timestamp"]
        assert message == {
            "type": "message", "id": position, "room": "fields", "user": "ann", "verified": True,
            "message": "小明 👩‍👩‍👧", "timestamp": timestamp,
        }  # fmt: skip
        assert ann.until("reply") == {"type": "reply", "id": "7", "result": {"position": position}}
        assert abs(timestamp - int(position.partition("-")[0])) < 5000


def test_seed_004_join_and_leave_are_told_once_for_tabs_over_websocket_and_sse(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = enter(stack, workers.two, "tabs", "door")
        assert door.take(1, "user-join")[0]["user"] == "door"
        first = enter(stack, workers.one, "tabs", "ann")
        second = enter(stack, workers.two, "tabs", "ann")
        third = enter_by_sse(stack, workers.one, "tabs", "ann")
        assert users(workers.two, "tabs", 2) == ["ann", "door"]
        for tab in (first, second):
            tab.close()
        say(workers.one, "tabs", "bob", "still here?")
        third.close()
        told = door.take(3, "user-join", "user-leave", "message")
        assert [(one["type"], one["user"]) for one in told] == [
            ("user-join", "ann"),
            ("message", "bob"),
            ("user-leave", "ann"),
        ]
        joined = told[0]
        assert joined == {
            "type": "user-join", "id": joined["id"], "room": "tabs", "user": "ann", "verified": True,
            "time": joined["time"],
        }  # fmt: skip


def users(server: Server, room: str, count: int) -> list[str]:
    """Return the members, once the register has a number of them: it is written later."""
    return list(
        wait_until(
            lambda: (
                (found := call(server, "GET", f"/chat/{room}/users", headers=of("x"))["users"])
                and len(found) == count
                and found
            ),
            5,
            f"{count} people",
        )
    )


def test_seed_004_both_pumps_run_at_once_messages_come_while_others_are_sent(workers: Fleet) -> None:
    with ExitStack() as stack:
        people = {
            user: enter(stack, server, "pumps", user) for server, user in ((workers.one, "ann"), (workers.two, "bob"))
        }

        def speak(user: str) -> None:
            for number in range(15):
                people[user].send({"type": "message", "id": number, "message": f"{user}{number}"})

        threads = [threading.Thread(target=speak, args=[user]) for user in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [said(ws, 30) for ws in people.values()]
        assert heard[0] == heard[1]
        for user in people:
            assert [text for who, text in heard[0] if who == user] == [f"{user}{n}" for n in range(15)]


# What comes first, and what was missed


def test_the_last_fifty_messages_and_who_is_there_come_first(workers: Fleet) -> None:
    say(workers.one, "history", "bob", *(str(number) for number in range(60)))
    with ExitStack() as stack:
        door = enter_by_sse(stack, workers.one, "history", "door")
        assert users(workers.two, "history", 1) == ["door"]
        ws = stack.enter_context(JSONSocket(workers.two, "/ws/chat/history", of("ann")))
        connected, history = ws.take(2)
        assert connected["type"] == "connected"
        assert "chatroom:history" in connected["channels"]
        assert history["type"] == "history"
        assert [one["message"] for one in history["messages"]] == [str(number) for number in range(10, 60)]
        assert history["users"] == ["door"]
        say(workers.one, "history", "bob", "next")
        assert said(ws, 1) == [("bob", "next")]
        assert door.until("message")


def test_a_client_with_a_position_gets_exactly_the_missed_events_at_the_other_worker(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "resume", "ann")
        say(workers.two, "resume", "bob", "0", "1")
        position = ann.take(2, "message")[0]["id"]
        ann.close()
        say(workers.one, "resume", "bob", "2", "3")
        again = enter(stack, workers.two, "resume", "ann", f"last_event_id={position}")
        say(workers.one, "resume", "bob", "4")
        messages = again.take(4, "message", "history", "gap")
        assert [one.get("message") for one in messages] == ["1", "2", "3", "4"]


def test_a_position_of_another_log_is_a_gap_and_then_the_history(workers: Fleet) -> None:
    say(workers.one, "gap", "bob", "kept")
    ws = JSONSocket(workers.two, "/ws/chat/gap?last_event_id=nonsense", of("ann"))
    with ws:
        gap, connected, history = ws.take(3)
        assert (gap["type"], gap["reason"], connected["type"]) == ("gap", "invalid", "connected")
        assert "id" not in gap
        assert [one["message"] for one in history["messages"]] == ["kept"]


# Speaking


def test_typing_is_told_to_the_others_and_ping_is_answered(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann, bob = enter(stack, workers.one, "typing", "ann"), enter(stack, workers.two, "typing", "bob")
        assert ann.ask({"type": "typing"}, "t") == {"type": "reply", "id": "t", "result": {}}
        assert bob.until("typing")["user"] == "ann"
        for id in ("p", 0):
            pong = ann.ask({"type": "ping"}, id)
            assert pong == {"type": "reply", "id": id, "result": {"time": pong["result"]["time"]}}


BAD_INPUT = [
    ("", "not_json"),
    ("{", "not_json"),
    ("NaN", "not_json"),
    ("[" * 10_000, "invalid_command"),
    ("[]", "invalid_command"),
    ('"ping"', "invalid_command"),
    ("{}", "invalid_command"),
    ('{"type":7,"id":1}', "invalid_command"),
    ('{"type":"shutdown","id":1}', "invalid_command"),
    ('{"type":"message","id":1}', "invalid_command"),
    ('{"type":"message","id":1,"message":7}', "invalid_command"),
    ('{"type":"message","id":1,"message":"x","user":"bob"}', "invalid_command"),
    ('{"type":"message","id":1,"message":"x","\\ud800":1}', "invalid_command"),
    ('{"type":"message","id":1,"message":""}', "message_text"),
    ('{"type":"message","id":1,"message":"a\\u0000b"}', "message_text"),
    ('{"type":"message","id":1,"message":"\\ud800"}', "invalid_command"),
    ('{"type":"message","id":1,"message":"' + "x" * 4001 + '"}', "message_text"),
    ('{"type":"message","id":1,"message":"x","key":""}', "idempotency_key"),
    ('{"type":"ping"}', "invalid_command"),
    ('{"type":"ping","id":"\\ud83d"}', "invalid_command"),
    ('{"type":"ping","id":null}', "invalid_command"),
    ('{"type":"ping","id":9007199254740992}', "invalid_command"),
    ('{"type":"ping","id":true}', "invalid_command"),
    ('{"type":"ping","id":1.5}', "invalid_command"),
    ('{"type":"ping","id":"' + "x" * 129 + '"}', "invalid_command"),
    ('{"type":"ping","id":' + "1" * 129 + "}", "invalid_command"),
]


def test_bad_input_is_answered_by_an_error_and_the_connection_stays(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "bad", "ann")
        for text, code in BAD_INPUT:
            ann.send(text)
            error = ann.until("error")
            assert error["code"] == code, (text[:80], error)
            assert error["message"]
        assert ann.ask({"type": "message", "message": 7}, "mine")["id"] == "mine"
        ann.send({"type": "message", "id": 1, "message": "still here"})
        assert said(ann, 1) == [("ann", "still here")]


def test_a_binary_message_ends_the_connection_with_1003(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "binary", "ann")
        ann.send(b"hello")
        assert ann.end().code == 1003


def test_a_message_that_is_sent_again_with_its_key_is_the_same_one(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "again", "ann")
        message = {"type": "message", "message": "once", "key": "k1"}
        first = ann.ask(message, "1")
        ann.close()
        ann = enter(stack, workers.two, "again", "ann")
        assert ann.ask(message, "2")["result"] == first["result"]


def test_a_flood_is_an_error_that_says_when_and_the_connection_stays(tmp_path: Path) -> None:
    with (
        fleet(tmp_path, chat_rate=1, constants={CHAT_BURST_SECONDS: 3}, app="wsgi:app") as workers,
        ExitStack() as stack,
    ):
        ann, bob = enter(stack, workers.one, "flood", "ann"), enter(stack, workers.one, "flood", "bob")
        answers = [ann.ask({"type": "message", "message": "x"}, str(number)) for number in range(6)]
        assert [one["type"] for one in answers[:3]] == ["reply"] * 3
        errors = [one for one in answers if one["type"] == "error"]
        assert errors[0]["code"] == "chat_rate"
        assert errors[0]["retry_after_seconds"] == 1
        assert bob.ask({"type": "message", "message": "me, too"})["type"] == "reply"
        assert ann.ask({"type": "ping"})["type"] == "reply"


# Who may


def test_a_missing_user_is_400_before_the_handshake(workers: Fleet) -> None:
    error = refused(workers.one, "/ws/chat/open", {})
    assert error.response.status_code == 400
    assert b"no_user" in error.response.body
    assert refused(workers.one, "/ws/chat/a:b?user=ann", of("ann")).response.status_code == 400


def test_a_client_without_the_right_to_listen_is_refused_before_the_handshake(workers: Fleet) -> None:
    assert refused(workers.one, "/ws/chat/lobby?user=ann", {}).response.status_code == 401
    assert refused(workers.one, "/ws/chat/lobby", token("ann", subscribe=["x"])).response.status_code == 403
    assert refused(workers.one, "/ws/chat/lobby?user=bob", of("ann")).response.status_code == 403


def test_a_client_that_may_only_listen_is_told_so_and_goes_on_to_listen(workers: Fleet) -> None:
    headers = token("ann", subscribe=RIGHTS)
    with JSONSocket(workers.one, "/ws/chat/quiet", headers) as ann:
        assert ann.ask({"type": "message", "message": "x"})["code"] == "not_granted"
        say(workers.two, "quiet", "bob", "hello")
        assert said(ann, 1) == [("bob", "hello")]


def test_without_a_token_one_speaks_unverified_where_that_is_open(workers: Fleet) -> None:
    with JSONSocket(workers.one, "/ws/chat/open?user=ann") as ann:
        ann.send({"type": "message", "id": 1, "message": "hi"})
        message = ann.until("message")
        assert (message["user"], message["verified"]) == ("ann", False)


def test_a_ticket_lets_in_once(workers: Fleet) -> None:
    ticket = call(workers.one, "POST", "/tickets", headers=of("ann"), status=201)["ticket"]
    with JSONSocket(workers.two, f"/ws/chat/ticket?ticket={ticket}") as ann:
        assert ann.until("connected")
    assert refused(workers.two, f"/ws/chat/ticket?ticket={ticket}", {}).response.status_code == 401


def test_a_plain_request_is_told_to_speak_websocket(workers: Fleet) -> None:
    status, _, text = workers.one.request("GET", "/ws/chat/lobby?user=ann", headers=of("ann"))
    assert (status, b"upgrade_required" in text) == (426, True)


# The end


def test_a_revoked_or_kicked_client_leaves_with_a_code_of_its_own(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = enter(stack, workers.two, "out", "door")
        gone = enter(stack, workers.one, "out", "gone")
        door.until("user-join", user="gone")
        call(workers.two, "DELETE", "/users/gone/grants", status=204)
        assert gone.end().code == 4500
        assert door.until("user-leave")["user"] == "gone"
        ws = stack.enter_context(JSONSocket(workers.one, "/ws/chat/out", of("kicked")))
        listener = ws.until("connected")["listener"]
        call(workers.two, "DELETE", f"/listeners/{listener}", status=204)
        assert ws.end().code == 4000


def test_a_token_that_ends_ends_the_connection(workers: Fleet) -> None:
    bearer = mint(JWT_KEY, seconds=3, user="soon", subscribe=RIGHTS, publish=RIGHTS)
    with JSONSocket(workers.one, "/ws/chat/expiry", {"Authorization": f"Bearer {bearer}"}) as ws:
        assert ws.end().code == 4501


def test_a_drain_says_1012_and_who_comes_back_elsewhere_has_missed_nothing(tmp_path: Path) -> None:
    with fleet(tmp_path, app="wsgi:app") as workers, ExitStack() as stack:
        ann = enter(stack, workers.one, "drain", "ann")
        say(workers.two, "drain", "bob", "before")
        position = ann.until("message")["id"]
        workers.one.signal(signal.SIGTERM)
        assert ann.end().code == 1012
        say(workers.two, "drain", "bob", "meanwhile")
        again = enter(stack, workers.two, "drain", "ann", f"last_event_id={position}")
        assert said(again, 1) == [("bob", "meanwhile")]
        wait_until(lambda: workers.one.process.poll() is not None, 10, "the drained worker to end")
        assert '"reason": "draining"' in workers.one.log
        assert "Traceback" not in workers.one.log


def test_a_client_of_a_killed_worker_comes_back_at_the_other_and_misses_nothing(tmp_path: Path) -> None:
    with fleet(tmp_path, app="wsgi:app", presence_lease_seconds=2, constants={GRACE_SECONDS: 1}) as workers:
        with ExitStack() as stack:
            ann = enter(stack, workers.one, "killed", "ann")
            say(workers.two, "killed", "bob", "before")
            position = ann.until("message")["id"]
            for pid in workers.one.workers:
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                ann.take(1000)
            say(workers.two, "killed", "bob", "meanwhile")
            again = enter(stack, workers.two, "killed", "ann", f"last_event_id={position}")
            say(workers.two, "killed", "bob", "after")
            told = again.take(2, "message", "gap", "history", "user-leave")
            assert [one.get("message") for one in told] == ["meanwhile", "after"]


def test_a_slow_reader_gets_everything_in_order_and_delays_no_other_client(workers: Fleet) -> None:
    overflows = overflows_of(workers.one)
    with (
        JSONSocket(workers.one, "/ws/chat/slow", of("slow"), receive_buffer=4096) as slow,
        JSONSocket(workers.one, "/ws/chat/slow", of("other")) as other,
    ):
        slow.until("history")
        other.until("history")
        texts = [f"{number:>4}".ljust(4000, "x") for number in range(300)]
        thread = threading.Thread(target=say, args=(workers.two, "slow", "bob", *texts))
        thread.start()
        assert [text for _, text in said(other, 300)] == texts
        thread.join()
        assert overflows_of(workers.one) > overflows
        assert [text for _, text in said(slow, 300)] == texts


def overflows_of(server: Server) -> float:
    return float(server.get_json("/inspect")["metrics"].get("simulcast_overflows_total", 0))


def test_more_connections_than_a_user_may_have_are_429_before_the_handshake(tmp_path: Path) -> None:
    with serve(tmp_path, jwt_key=JWT_KEY, max_listeners_per_user=2) as server, ExitStack() as stack:
        for _ in range(2):
            enter(stack, server, "many", "ann")
        assert refused(server, "/ws/chat/many", of("ann")).response.status_code == 429
        assert enter(stack, server, "many", "bob")


def test_another_library_talks_just_as_well(workers: Fleet) -> None:
    ws = websocket.create_connection(
        f"ws://127.0.0.1:{workers.one.port}/ws/chat/library",
        header=[f"{name}: {value}" for name, value in of("ann").items()],
        timeout=15,
    )
    with contextlib.closing(ws):
        ws.send(json.dumps({"type": "message", "id": 1, "message": "小明"}))
        while (message := json.loads(ws.recv()))["type"] != "message":
            pass
        assert (message["user"], message["message"]) == ("ann", "小明")


def test_thirty_who_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    with serve(tmp_path, app="tests.apps.inspected:app", jwt_key="j" * 32) as server:

        def held() -> dict[str, int]:
            figures = server.get_json("/inspect")
            return {name: figures[name] for name in ("listeners", "channels", "audiences", "greenlets", "descriptors")}

        def come_and_go(number: int) -> None:
            with ExitStack() as stack:
                ws = enter(stack, server, "leaves", f"user{number}")
                ws.send({"type": "message", "id": 1, "message": "hi"})
                if number % 3 == 1:
                    ws.send(b"binary")
                elif number % 3 == 2:
                    ws.ws.socket.close()  # without a close frame

        come_and_go(0)
        wait_until(lambda: held()["listeners"] == 0, 10, "the first to leave")
        before = held()
        for number in range(30):
            come_and_go(number)
        wait_until(lambda: all(held()[name] <= before[name] for name in before), 10, f"{held()} to be {before}")
        metrics = server.get_json("/inspect")["metrics"]
        assert metrics["simulcast_websocket_opened_total"] == 31
        assert "Traceback" not in server.log


def test_no_connection_of_this_module_made_an_error(workers: Fleet) -> None:
    for server in workers:
        assert "Traceback" not in server.log
