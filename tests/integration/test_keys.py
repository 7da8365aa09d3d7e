"""An idempotency key is its sender's own, on every way to publish (sec F4): no stranger's key takes an event or a command away,
and a key of one's own never stands for two."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.tools.agents import listener
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, connect, listen, token
from tests.tools.serving import BEARER, Server
from tests.tools.sockets import JSONSocket

ORDERS = {"publish": ["*", "all", "user:*", "listener:*"], "subscribe": ["*"]}
COMMANDS = {"publish": ["wukong-agent.*"], "subscribe": ["wukong-replies.*", "wukong-agent.*"]}


# Two workers.
two = server_fixture(
    on=("sqlite", "redis"),
    workers=2,
    jwt_key=JWT_KEY,
    anonymous_channels="chat.open",
    publish_rate=0,
    chat_anonymous="true",
    chat_rate=0,
)


def history(server: Server, channel: str) -> list[Any]:
    return [event["data"] for event in call(server, "GET", f"/channels/{channel}/history?limit=1000")["events"]]


def test_an_event_is_not_swallowed_by_another_publishers_key(two: Server) -> None:
    with listen(two, "channel=all", token("zoe", subscribe=["a"])) as zoe:
        ways = [
            ("/events", {"channel": "shared"}),
            ("/events", {"channels": ["shared-1", "shared-2"]}),
            ("/broadcast", {}),
            ("/users/bob/events", {}),
            (f"/listeners/{connect(zoe)}/events", {}),
        ]
        for path, where in ways:
            mallory, shop = token("mallory", **ORDERS), token("shop", **ORDERS)
            event = {**where, "idempotency_key": "order-7"}
            theirs = call(two, "POST", path, event | {"data": {"paid": True}}, mallory, status=201)
            ours = call(two, "POST", path, event | {"data": {"paid": False}}, shop, status=201)
            assert theirs != ours, path
            assert call(two, "POST", path, event | {"data": {"paid": False}}, shop, status=201) == ours, "a retry"
            refusal = call(two, "POST", path, event | {"data": {"paid": None}}, shop, status=409)
            assert refusal["error"]["code"] == "idempotency_conflict"
        assert history(two, "shared") == history(two, "shared-1") == [{"paid": True}, {"paid": False}]
        assert [block.json for block in zoe.take(4, "message")] == [{"paid": True}, {"paid": False}] * 2


def test_a_conflict_in_a_batch_stores_none_of_it(two: Server) -> None:
    events = [{"channel": "batch", "data": n, "idempotency_key": f"k{n}"} for n in range(3)]
    call(two, "POST", "/events", events[1], status=201)
    for batch in (
        [*events[:1], {**events[1], "data": 7}],
        [{"channel": "batch", "data": n, "idempotency_key": "same"} for n in range(2)],
    ):
        assert call(two, "POST", "/events", batch, status=409)["error"]["code"] == "idempotency_conflict"
    assert history(two, "batch") == [1]
    assert len(call(two, "POST", "/events", events, status=201)["positions"]) == 3
    assert history(two, "batch") == [1, 0, 2]


def test_a_key_is_the_users_over_all_of_their_tokens_and_over_websocket(two: Server) -> None:
    event = {"channel": "both", "data": 1, "idempotency_key": "k"}
    position = call(two, "POST", "/events", event, token("ann", **ORDERS), status=201)["positions"][0]
    publish = {"type": "publish", "channel": "both", "idempotency_key": "k"}
    with JSONSocket(two, "/ws", token("ann", **ORDERS)) as ann, JSONSocket(two, "/ws", token("bob", **ORDERS)) as bob:
        assert ann.ask(publish | {"data": 1})["result"] == {"position": position}
        assert ann.ask(publish | {"data": 2})["code"] == "idempotency_conflict"
        assert bob.ask(publish | {"data": 1})["result"]["position"] != position
    # Neither the password's keys, nor those of tokens without a user, belong to another sender.
    for headers in (BEARER, token(**ORDERS), token(**ORDERS)):
        assert call(two, "POST", "/events", event, headers, status=201)["positions"][0] != position
    assert history(two, "both") == [1] * 5


@pytest.mark.parametrize("name", ["host", "web-7"])
def test_a_command_is_not_swallowed_by_another_commanders_key(two: Server, name: str) -> None:
    call(two, "PUT", "/wukongs/web-7/status", {})
    mallory, ops = (token(user, **COMMANDS) | {"Idempotency-Key": "nightly"} for user in ("mallory", "ops"))
    path = f"/wukongs/{name}/commands"
    ping, status = {"command": "ping"}, {"command": "status"}
    with listener(two, "web-7") as client:
        theirs = call(two, "POST", path, ping, mallory, status=202)["id"]
        ours = call(two, "POST", path, status, ops, status=202)["id"]
        assert theirs != ours
        assert call(two, "POST", path, status, ops, status=202)["id"] == ours
        for other in (ping, {"command": "processes"}):
            for wait in ("", "?wait=5"):
                refusal = call(two, "POST", path + wait, other, ops, status=409)
                assert refusal["error"]["code"] == "idempotency_conflict"
        if name == "web-7":
            assert [block.json["id"] for block in client.take(2, "command")] == [theirs, ours]


def test_a_command_of_this_machine_with_a_key_is_carried_out_once(two: Server) -> None:
    """By one of the requests that come at once, in whichever worker; all get its answer."""
    headers = token("ops", **COMMANDS) | {"Idempotency-Key": "once"}
    answers: list[Any] = []

    def ask() -> None:
        command = {"command": "processes", "args": {"limit": 1}}
        answers.append(call(two, "POST", "/wukongs/host/commands?wait=10", command, headers))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ask()
    assert len(answers) == 9
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    name = call(two, "GET", "/wukongs")["wukongs"][0]["name"]
    replies = call(two, "GET", f"/channels/wukong-replies.{name}/history?limit=1000")["events"]
    assert [event["data"] for event in replies if event["data"]["id"] == answers[0]["id"]] == answers[:1]


def test_a_chat_message_is_not_swallowed_by_another_key(two: Server) -> None:
    room = "/chat/open/message"
    ann, bob = (token(user, publish=["chat.*"]) | {"Idempotency-Key": "k"} for user in ("ann", "bob"))
    first = call(two, "POST", room, {"message": "Hello"}, ann, status=201)
    assert call(two, "POST", room, {"message": "Hello"}, ann, status=201) == first, "although its time is another one"
    assert call(two, "POST", room, {"message": "Goodbye"}, ann, status=409)["error"]["code"] == "idempotency_conflict"
    bridge, nobody = BEARER | {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}
    others = [(bob, {}), (bridge, {"user": "cid"}), (bridge, {"user": "dee"}), (nobody, {"user": "cid"})]
    positions = [
        call(two, "POST", room, {"message": "Hello", **body}, headers, status=201)["position"]
        for headers, body in others
    ]
    assert len({first["position"], *positions}) == 5
    assert [data["user"] for data in history(two, "chatroom:open")] == ["ann", "bob", "cid", "dee", "cid"]
