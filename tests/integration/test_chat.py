"""The chat over two workers: one user acts at one worker, and the others are told at both.

The seed's three handlers are joinChatRoom, sendChatMessage and getChatRoomUsers; tests with these names are theirs.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.tools.clients import Block, SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import CHAT, Fleet, call, connect, fleet, listen, token
from tests.tools.serving import BEARER, CHAT_BURST_SECONDS, Server, serve, wait_until

RIGHTS = ["chat.*"]
NOBODY: dict[str, str] = {}


workers = fleet_fixture(app="wsgi:app", **CHAT)


def of(user: str) -> dict[str, str]:
    """The header of a user with all rights in every room."""
    return token(user, subscribe=RIGHTS, publish=RIGHTS)


def enter(stack: ExitStack, server: Server, room: str, user: str, **options: Any) -> SSEClient:
    """Join; the next event is `history`, or the first missed event."""
    client = stack.enter_context(SSEClient(server.port, f"/api/v1/chat/{room}/stream", headers=of(user), **options))
    connect(client)
    return client


def say(server: Server, room: str, user: str, *texts: str) -> list[str]:
    """Say all of these texts; return the positions."""
    body = [call(server, "POST", f"/chat/{room}/message", {"message": text}, of(user), 201) for text in texts]
    return [answer["position"] for answer in body]


def said(client: SSEClient, count: int) -> list[tuple[str, str]]:
    """Return the next messages, and skip other events."""
    return [(block.json["user"], block.json["message"]) for block in client.take(count, "message")]


def named(block: Block) -> tuple[str, str]:
    return block.type, block.json["user"]


def present(server: Server, room: str) -> list[str]:
    return list(call(server, "GET", f"/chat/{room}/users")["users"])


# The seed


def test_join_chat_room_tells_all_members_once_who_comes_and_who_goes(workers: Fleet) -> None:
    """Three tabs over two workers are one person, and closing one tab does not count as leaving."""
    with ExitStack() as stack:
        door = enter(stack, workers.two, "tabs", "door")
        assert named(door.take(2)[1]) == ("user-join", "door")
        tabs = [enter(stack, server, "tabs", "ann") for server in (workers.one, workers.two, workers.two)]
        wait_for_members(workers.one, "tabs", {"ann": 3, "door": 1})
        tabs.pop().close()
        say(workers.one, "tabs", "bob", "hello")
        for tab in tabs:
            tab.close()
        block, message, left = door.take(3)
        assert block.json == {"room": "tabs", "user": "ann", "verified": True, "time": block.json["time"]}
        assert [named(one) for one in (block, message, left)] == [
            ("user-join", "ann"),
            ("message", "bob"),
            ("user-leave", "ann"),
        ]
        assert 0 < left.json["time"] - block.json["time"] < 60_000


def wait_for_members(server: Server, room: str, expected: dict[str, int]) -> None:
    def found() -> dict[str, int]:
        page = call(server, "GET", f"/channels/chatroom:{room}/presence")
        return {one["member"]: one["listeners"] for one in page["members"]}

    wait_until(lambda: found() == expected, 5, str(expected))


def test_send_chat_message_reaches_all_members_in_the_same_order(workers: Fleet) -> None:
    with ExitStack() as stack:
        clients = [enter(stack, server, "order", user) for server in workers for user in ("ann", "bob")]
        positions = []
        for number in range(20):
            positions += say(workers.one, "order", "ann", f"a{number}")
            positions += say(workers.two, "order", "bob", f"b{number}")
        for client in clients:
            blocks = client.take(40, "message")
            assert [block.position for block in blocks] == positions
            assert [block.json["message"] for block in blocks] == [f"{x}{n}" for n in range(20) for x in "ab"]
        timestamp = blocks[0].json["timestamp"]
        assert blocks[0].json == {
            "room": "order", "user": "ann", "verified": True, "message": "a0", "timestamp": timestamp,
        }  # fmt: skip
        assert abs(timestamp - int(blocks[0].id.partition("-")[0])) < 5000


def test_get_chat_room_users_lists_each_member_of_all_workers_once(workers: Fleet) -> None:
    with ExitStack() as stack:
        for server, user in ((workers.one, "ann"), (workers.two, "ann"), (workers.two, "小明"), (workers.one, "bob")):
            enter(stack, server, "crowd", user)
        wait_until(lambda: len(present(workers.one, "crowd")) == 3, 5, "three people")
        for server in workers:
            answer = call(server, "GET", "/chat/crowd/users", headers=of("cyd"))
            assert (answer["room"], answer["users"], answer["count"]) == ("crowd", ["ann", "bob", "小明"], 3)
            assert [(one["user"], one["verified"]) for one in answer["members"]] == [
                ("ann", True), ("bob", True), ("小明", True),
            ]  # fmt: skip
            assert answer["next"] is None
        page = call(workers.one, "GET", "/chat/crowd/users?limit=2")
        assert (page["users"], page["count"]) == (["ann", "bob"], 2)
        assert call(workers.one, "GET", f"/chat/crowd/users?limit=2&after={page['next']}")["users"] == ["小明"]
    assert call(workers.one, "GET", "/chat/nobody-is-here/users")["users"] == []


def test_a_missing_user_is_400(workers: Fleet) -> None:
    """The seed's c.BadRequest("缺少用户名")."""
    for query in ("", "?user="):
        answer = call(workers.one, "GET", f"/chat/open/stream{query}", headers=NOBODY, status=400)
        assert answer["error"]["code"] == "no_user"
    for method in ("message", "typing"):
        answer = call(workers.one, "POST", f"/chat/open/{method}", {"message": "x"}, NOBODY, 400)
        assert answer["error"]["code"] == ("no_user" if method == "message" else "invalid_message")


def test_a_name_is_one_person_composed_or_not_with_a_token_too(workers: Fleet) -> None:
    """sec F10."""
    composed, apart = "Jos\u00e9", "Jose\u0301"
    with ExitStack() as stack:
        enter(stack, workers.one, "names", composed).until("history")
        enter(stack, workers.two, "names", apart).until("history")
        for name in (composed, apart):
            body = {"message": "Hello", "user": name}
            call(workers.one, "POST", "/chat/names/message", body, of(apart), status=201)
        users = call(workers.one, "GET", "/chat/names/users", headers=of(composed))
        assert users["users"] == [composed]
        with enter(stack, workers.one, "names", "ann") as ann:
            history = ann.until("history").json
        assert {message["user"] for message in history["messages"]} == {composed}


# Coming in, and coming back


def test_a_new_member_gets_the_last_fifty_messages_and_the_members_first(workers: Fleet) -> None:
    positions = say(workers.one, "past", "ann", *(str(n) for n in range(55)))
    with ExitStack() as stack:
        enter(stack, workers.one, "past", "ann")
        wait_until(lambda: present(workers.two, "past") == ["ann"], 5)
        bob = enter(stack, workers.two, "past", "bob")
        (first,) = bob.take(1)
        assert first.type == "history"
        past = first.json
        assert [(one["id"], one["message"]) for one in past["messages"]] == [
            (positions[n], str(n)) for n in range(5, 55)
        ]
        assert past["messages"][0].keys() == {"id", "room", "user", "verified", "message", "timestamp"}
        assert (past["room"], past["users"], past["count"]) == ("past", ["ann"], 1)
        # No coming is told again: Ann came before.
        assert named(bob.take(1)[0]) == ("user-join", "bob")
        say(workers.one, "past", "ann", "live")
        assert said(bob, 1) == [("ann", "live")]


def test_a_member_that_comes_back_gets_missed_events_from_the_other_worker_once(workers: Fleet) -> None:
    with ExitStack() as stack:
        bob = enter(stack, workers.one, "back", "bob")
        assert [block.type for block in bob.take(2)] == ["history", "user-join"]
        say(workers.one, "back", "ann", "had")
        assert said(bob, 1) == [("ann", "had")]
        bob.close()
        say(workers.two, "back", "ann", "missed")
        enter(stack, workers.two, "back", "cyd")
        wait_until(lambda: "cyd" in present(workers.two, "back"), 5)
        again = enter(stack, workers.two, "back", "bob", last_event_id=bob.last_id)
        say(workers.one, "back", "ann", "live")
        told = again.take(3)
        assert [named(block) for block in told] == [("message", "ann"), ("user-join", "cyd"), ("message", "ann")]
        assert [block.json.get("message") for block in told] == ["missed", None, "live"]


def test_a_member_whose_missed_events_are_gone_is_told_so_and_comes_in_again(workers: Fleet) -> None:
    say(workers.one, "gap", "ann", "before")
    with SSEClient(
        workers.two.port, "/api/v1/chat/gap/stream", headers=of("bob"), last_event_id="1-0-00000000"
    ) as client:
        gap, connected, history = client.take(3)
        assert [block.type for block in (gap, connected, history)] == ["gap", "connected", "history"]
        assert [one["message"] for one in history.json["messages"]] == ["before"]


def test_long_messages_are_fewer_at_the_entrance(workers: Fleet) -> None:
    long = "🐒" * 4000
    say(workers.one, "long", "ann", *[f"{long[3:]}{n:03}" for n in range(20)])
    with ExitStack() as stack:
        history = enter(stack, workers.two, "long", "bob").until("history")
        numbers = [int(one["message"][-3:]) for one in history.json["messages"]]
        assert numbers == list(range(20 - len(numbers), 20))
        assert 10 < len(numbers) < 20
        assert len(history.text.encode()) < 300_000


def test_the_same_comes_as_lines_of_json(workers: Fleet) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(
            SSEClient(workers.one.port, "/api/v1/chat/lines/stream", headers=of("ann"), accept="application/x-ndjson")
        )
        while b'"user-join"' not in client._text:
            assert client._fill()
        say(workers.two, "lines", "bob", "hi")
        while b'"hi"' not in client._text or not client._text.endswith(b"\n"):
            assert client._fill()
    lines = [json.loads(line) for line in client._text.splitlines() if line]
    assert [line["type"] for line in lines] == ["connected", "history", "user-join", "message"]
    assert lines[3]["data"]["message"] == "hi"


def test_the_people_of_a_killed_worker_leave(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = enter(stack, workers.two, "kill", "door")
        assert named(door.take(2)[1]) == ("user-join", "door")
        for user in ("ann", "bob"):
            enter(stack, workers.one, "kill", user)
        assert {named(block) for block in door.take(2)} == {("user-join", "ann"), ("user-join", "bob")}
        (pid,) = workers.one.workers
        os.kill(pid, signal.SIGKILL)
        assert {named(block) for block in door.take(2)} == {("user-leave", "ann"), ("user-leave", "bob")}
        assert present(workers.two, "kill") == ["door"]
    wait_until(lambda: answers(workers.one), 15, "another worker")


def answers(server: Server) -> bool:
    try:
        return server.request("GET", "/healthz")[0] == 200
    except OSError:
        return False


# Typing


def test_typing_is_told_once_a_second_and_is_no_part_of_the_past(workers: Fleet) -> None:
    with ExitStack() as stack:
        client = enter(stack, workers.two, "typing", "ann")
        assert named(client.take(2)[1]) == ("user-join", "ann")
        began = time.monotonic()
        for _ in range(5):
            call(workers.one, "POST", "/chat/typing/typing", {}, of("bob"), 204)
        seconds = int(time.monotonic() - began)
        call(workers.one, "POST", "/chat/typing/typing", None, of("cyd"), 204)
        say(workers.one, "typing", "bob", "done")
        told = [client.take(1)[0]]
        while told[-1].type != "message":
            told += client.take(1)
        typed = [block.json["user"] for block in told[:-1]]
        assert typed[0] == "bob"
        assert typed[-1] == "cyd"
        assert typed.count("bob") <= 1 + seconds
        assert told[0].json == {"room": "typing", "user": "bob", "verified": True, "time": told[0].json["time"]}
        later = enter(stack, workers.one, "typing", "dan").until("history")
        assert [one["message"] for one in later.json["messages"]] == ["done"]


# Who may


def test_a_user_can_not_come_or_speak_in_the_name_of_another(workers: Fleet) -> None:
    for method, path, body in (
        ("GET", "/chat/lobby/stream?user=bob", None),
        ("POST", "/chat/lobby/message", {"user": "bob", "message": "I am Bob"}),
        ("POST", "/chat/lobby/typing", {"user": "bob"}),
    ):
        assert call(workers.one, method, path, body, of("ann"), 403)["error"]["code"] == "other_user"
    call(workers.one, "POST", "/chat/lobby/message", {"user": "ann", "message": "I am Ann"}, of("ann"), 201)


def test_a_right_to_speak_in_a_room_does_not_publish_to_its_channel(workers: Fleet) -> None:
    """A grant on `chat.*` is no grant on what the room is made of."""
    forged = {"channel": "chatroom:forged", "data": {"user": "bob", "verified": True, "message": "I am Bob"}}
    assert call(workers.one, "POST", "/events", forged, of("ann"), 403)["error"]["code"] == "not_granted"
    call(workers.one, "POST", "/events", forged | {"channel": "chat.forged"}, of("ann"), 201)
    with ExitStack() as stack:
        client = enter(stack, workers.two, "forged", "cyd")
        assert client.until("history").json["messages"] == []


@pytest.mark.parametrize(
    ("headers", "method", "status", "code"),
    [
        (NOBODY, "stream", 401, "no_grant"),
        (NOBODY, "users", 401, "no_grant"),
        (NOBODY, "message", 401, "no_grant"),
        (NOBODY, "typing", 401, "no_grant"),
        (token("ann", subscribe=["chat.other"], publish=["chat.other"]), "stream", 403, "not_granted"),
        (token("ann", subscribe=["chat.other"], publish=["chat.other"]), "users", 403, "not_granted"),
        (token("ann", subscribe=["chat.*"]), "message", 403, "not_granted"),
        (token("ann", subscribe=["chat.*"]), "typing", 403, "not_granted"),
        (token("ann", subscribe=["chatroom:*"], publish=["chatroom:*"]), "message", 403, "not_granted"),
        ({"Authorization": "Bearer x"}, "stream", 401, "token_malformed"),
    ],
)
def test_a_closed_room_is_closed(workers: Fleet, headers: dict[str, str], method: str, status: int, code: str) -> None:
    verb, body = ("POST", {"message": "x"}) if method in ("message", "typing") else ("GET", None)
    answer = call(workers.one, verb, f"/chat/closed/{method}?user=ann", body, headers, status)
    assert answer["error"]["code"] == code


def test_a_member_without_a_token_is_marked_and_not_confused_with_one_with_a_token(workers: Fleet) -> None:
    """In rooms that are open to all; and only because this service lets them speak, too."""
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "open", "ann")
        assert named(ann.take(2)[1]) == ("user-join", "ann")
        other = stack.enter_context(SSEClient(workers.two.port, "/api/v1/chat/open/stream?user=ann"))
        connect(other)
        joined = ann.until("user-join")
        assert (joined.json["user"], joined.json["verified"]) == ("ann", False)
        answer = call(workers.two, "GET", "/chat/open/users", headers=NOBODY)
        assert answer["users"] == ["ann", "ann"]
        assert sorted(one["verified"] for one in answer["members"]) == [False, True]
        call(workers.two, "POST", "/chat/open/message", {"user": "ann", "message": "me, too"}, NOBODY, 201)
        message = ann.until("message").json
        assert (message["user"], message["verified"], message["message"]) == ("ann", False, "me, too")
        other.close()
        left = ann.until("user-leave").json
        assert (left["user"], left["verified"]) == ("ann", False)


def test_a_backend_speaks_for_whom_it_names(workers: Fleet) -> None:
    with ExitStack() as stack:
        client = enter(stack, workers.two, "gateway", "ann")
        call(workers.one, "POST", "/chat/gateway/message", {"user": "Bridge", "message": "hi"}, BEARER, 201)
        message = client.until("message").json
        assert (message["user"], message["verified"]) == ("Bridge", False)
        assert call(workers.one, "POST", "/chat/gateway/message", {"message": "hi"}, BEARER, 400)


def test_without_a_token_one_listens_where_it_is_open_and_speaks_nowhere(tmp_path: Path) -> None:
    """The default. A service that nothing was told of is closed altogether."""
    with serve(tmp_path / "open", anonymous_channels="chat.open") as server:
        with SSEClient(server.port, "/api/v1/chat/open/stream?user=ann") as client:
            assert connect(client)
        answer = call(server, "POST", "/chat/open/message", {"user": "ann", "message": "x"}, NOBODY, 401)
        assert answer["error"]["code"] == "no_grant"
    with serve(tmp_path / "closed", anonymous_channels="", publish_key="") as server:
        assert call(server, "GET", "/chat/open/stream?user=ann", headers=NOBODY, status=401)
        answer = call(server, "POST", "/chat/open/message", {"user": "ann", "message": "x"}, NOBODY, 403)
        assert answer["error"]["code"] == "publish_closed"


# What is sent


def test_a_flood_is_told_when_to_go_on_and_stops_no_other_user(tmp_path: Path) -> None:
    with fleet(tmp_path, app="wsgi:app", chat_rate=1, constants={CHAT_BURST_SECONDS: 3}, chat_anonymous=1) as workers:
        path, body = "/api/v1/chat/flood/message", {"message": "x"}
        answers = [workers.one.request("POST", path, body, of("ann")) for _ in range(6)]
        statuses = [status for status, _, _ in answers]
        assert statuses[:3] == [201] * 3
        refused = [(headers, text) for status, headers, text in answers if status == 429]
        assert refused
        headers, text = refused[0]
        assert headers["retry-after"] == "1"
        assert json.loads(text)["error"]["code"] == "chat_rate"
        assert call(workers.one, "POST", "/chat/flood/message", body, of("bob"), 201)
        assert call(workers.one, "POST", "/chat/another/message", body, of("ann"), 201)
        # Another name at each message is one person at one address.
        statuses = [workers.one.request("POST", path, body | {"user": f"user{n}"}, NOBODY)[0] for n in range(10)]
        assert statuses[:3] == [201] * 3
        assert 429 in statuses


def test_a_message_that_is_sent_again_is_the_same_one_of_the_same_sender(workers: Fleet) -> None:
    with ExitStack() as stack:
        client = enter(stack, workers.two, "again", "cyd")
        first, second, other = (
            call(server, "POST", "/chat/again/message", {"message": user}, of(user) | {"Idempotency-Key": "1"}, 201)
            for server, user in ((workers.one, "ann"), (workers.two, "ann"), (workers.one, "bob"))
        )
        assert first == second != other
        assert said(client, 2) == [("ann", "ann"), ("bob", "bob")]
        for key in ("", "k" * 129):
            headers = of("ann") | {"Idempotency-Key": key}
            answer = call(workers.one, "POST", "/chat/again/message", {"message": "x"}, headers, 400)
            assert answer["error"]["code"] == "idempotency_key"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("lobby/message", b"", 400, "not_json"),
        ("lobby/message", b"\xff", 400, "not_json"),
        ("lobby/message", [], 400, "invalid_message"),
        ("lobby/message", {}, 400, "invalid_message"),
        ("lobby/message", {"message": 7}, 400, "invalid_message"),
        ("lobby/message", {"message": None}, 400, "invalid_message"),
        ("lobby/message", {"message": "x", "user": 7}, 400, "invalid_message"),
        ("lobby/message", {"message": "x", "verified": True}, 400, "invalid_message"),
        ("lobby/message", {"message": ""}, 400, "message_text"),
        ("lobby/message", {"message": " \n"}, 400, "message_text"),
        ("lobby/message", {"message": "x" * 4001}, 400, "message_text"),
        ("lobby/message", {"message": "a\0b"}, 400, "message_text"),
        ("lobby/message", {"message": "\x1b[2J"}, 400, "message_text"),
        ("lobby/message", b'{"message":"\\ud800"}', 400, "message_text"),
        ("lobby/message", b'{"message":"' + b"x" * (5 << 20) + b'"}', 413, "request_entity_too_large"),
        ("lobby/message", {"message": "x", "user": "ann\n"}, 403, "other_user"),
        ("lobby/typing", {"message": "x"}, 400, "invalid_message"),
        ("a:b/message", {"message": "x"}, 400, "room_name"),
        ("%00/message", {"message": "x"}, 400, "room_name"),
        ("%F0%9F%90%92/message", {"message": "x"}, 400, "room_name"),
        ("%FF/message", {"message": "x"}, 400, "room_name"),
        ("a" * 65 + "/message", {"message": "x"}, 400, "room_name"),
        ("a/b/message", {"message": "x"}, 404, "not_found"),
    ],
)  # fmt: skip
def test_what_can_not_be_said_is_refused_by_name(workers: Fleet, path: str, body: Any, status: int, code: str) -> None:
    assert call(workers.one, "POST", f"/chat/{path}", body, of("ann"), status)["error"]["code"] == code


@pytest.mark.parametrize("name", ["%0A", "a%0Aevent:x", "%00", "%EF%BF%BD", "+ann", "%3Fann", "x" * 65, "a%E2%80%AEb"])
def test_a_name_that_hides_something_does_not_come_in(workers: Fleet, name: str) -> None:
    answer = call(workers.one, "GET", f"/chat/open/stream?user={name}", headers=NOBODY, status=400)
    assert answer["error"]["code"] == "user_name"


def test_a_token_whose_user_is_no_name_comes_in_nowhere(workers: Fleet) -> None:
    answer = call(workers.one, "GET", "/chat/open/stream", headers=of("x" * 65), status=400)
    assert answer["error"]["code"] == "user_name"


def test_a_revoked_member_leaves_the_room(workers: Fleet) -> None:
    with ExitStack() as stack:
        door = enter(stack, workers.two, "revoked", "door")
        assert named(door.take(2)[1]) == ("user-join", "door")
        ann = enter(stack, workers.one, "revoked", "ann-who-was")
        assert named(door.take(1)[0]) == ("user-join", "ann-who-was")
        call(workers.two, "DELETE", "/users/ann-who-was/grants", status=204)
        assert ann.rest()[-1].type == "closed"
        assert named(door.take(1)[0]) == ("user-leave", "ann-who-was")


def test_no_request_of_this_module_made_a_500(workers: Fleet) -> None:
    for server in workers:
        assert "Traceback" not in server.log


def test_listening_to_the_channels_of_a_room_needs_a_grant_of_their_own(workers: Fleet) -> None:
    for channel in ("chatroom:lobby", "presence:chatroom:lobby", "chatroom:lobby:typing"):
        call(workers.one, "GET", f"/stream?channel={channel}", headers=of("ann"), status=403)
    with listen(workers.one, "channel=chatroom:lobby", token("log", subscribe=["chatroom:lobby"])) as client:
        connect(client)


def test_broadcast_without_a_type_is_no_message_of_a_room(workers: Fleet) -> None:
    with ExitStack() as stack:
        ann = enter(stack, workers.one, "plain", "ann")
        call(workers.two, "POST", "/broadcast", {"data": {"text": "to all"}}, status=201)
        say(workers.two, "plain", "bob", "hello")
        assert said(ann, 1) == [("bob", "hello")]


def test_message_of_a_backend_has_its_position_as_its_id_whatever_its_fields_are(workers: Fleet) -> None:
    (position,) = workers.one.publish("chatroom:bridge", {"id": "of the other chat", "message": "hi"}, type="message")
    with ExitStack() as stack:
        (message,) = enter(stack, workers.two, "bridge", "ann").until("history").json["messages"]
        assert message == {"id": position, "message": "hi"}
