"""The hub's routes over two workers: what is done at one holds at the other, and a refused client is told why."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import Fleet, call, connect, fleet, listed, listen, token, wait_for_listeners
from tests.tools.serving import BEARER, wait_until

ALL_OF_IT = ["*", "all", "user:*", "listener:*"]


workers = fleet_fixture(on=("sqlite", "redis"))


# Idempotency


@pytest.mark.parametrize("how", ["header", "body"])
def test_a_retry_at_the_other_worker_is_the_same_event(workers: Fleet, how: str) -> None:
    headers = BEARER | ({"Idempotency-Key": "order-7"} if how == "header" else {})
    event = {"channel": f"once-{how}", "data": 1} | ({"idempotency_key": "order-7"} if how == "body" else {})
    with listen(workers.two, f"channel=once-{how}") as client:
        connect(client)
        first = call(workers.one, "POST", "/events", event, headers, 201)
        assert call(workers.two, "POST", "/events", event, headers, 201) == first
        (after,) = workers.one.publish(f"once-{how}", 2)
        assert [block.id for block in client.take(2)] == [*first["positions"], after]


@pytest.mark.parametrize("path", ["/broadcast", "/users/ann/events"])
def test_a_retry_is_the_same_event_wherever_it_goes(workers: Fleet, path: str) -> None:
    body = {"data": path, "idempotency_key": "k"}
    first = call(workers.one, "POST", path, body, status=201)
    assert call(workers.two, "POST", path, body, status=201) == first
    assert call(workers.two, "POST", path, body | {"idempotency_key": "l"}, status=201) != first


def test_a_retry_for_several_channels_answers_all_their_positions(workers: Fleet) -> None:
    event = {"channels": ["r1", "r2"], "data": 1, "idempotency_key": "k"}
    first = call(workers.one, "POST", "/events", event, status=201)
    assert len(set(first["positions"])) == 2
    assert call(workers.two, "POST", "/events", event, status=201) == first


# Close connections


def test_one_that_is_kicked_may_come_back(workers: Fleet) -> None:
    bearer = token("ann", subscribe=["*"])
    with listen(workers.two, "channel=a", bearer) as client, listen(workers.two, "channel=a", bearer) as other:
        id = connect(client)
        connect(other)
        call(workers.one, "DELETE", f"/listeners/{id}", status=204)
        closed = client.until("closed")
        assert (closed.json, closed.id) == ({"reason": "kicked", "reconnect": True}, "")
        assert client.rest() == []
        (position,) = workers.one.publish("a", 1)
        assert other.take(1)[0].id == position, "the other connection of the same token stays"
    with listen(workers.two, "channel=a", bearer, last_event_id=client.last_id) as again:
        assert again.take(1, "message")[0].id == position
    wait_for_listeners(workers.two, set())
    assert call(workers.two, "DELETE", f"/listeners/{id}", status=404)["error"]["code"] == "no_such_listener"


def test_one_that_is_kicked_for_good_is_locked_out_everywhere(workers: Fleet) -> None:
    bearer, another = token("ann", subscribe=["*"]), token("ann", subscribe=["*"])
    with listen(workers.two, "channel=a", bearer) as client, listen(workers.two, "channel=a", another) as other:
        id = connect(client)
        connect(other)
        call(workers.one, "DELETE", f"/listeners/{id}?reconnect=false", status=204)
        closed = client.until("closed")
        assert (closed.json, closed.id) == ({"reason": "revoked", "reconnect": False}, "end")
        for server in workers:
            answer = call(server, "GET", "/stream?channel=a", headers=bearer, status=401)
            assert answer["error"]["code"] == "token_revoked"
        workers.one.publish("a", 1)
        assert other.take(1)[0].json == 1, "another token of the same user holds"


def test_a_user_who_is_revoked_loses_every_stream_and_token(workers: Fleet) -> None:
    ann, bob = token("ann", subscribe=["*"]), token("bob", subscribe=["*"])
    with (
        listen(workers.one, "channel=a", ann) as here,
        listen(workers.two, "channel=a", ann) as there,
        listen(workers.two, "channel=a", bob) as other,
    ):
        for client in (here, there, other):
            connect(client)
        began = time.monotonic()
        call(workers.one, "DELETE", "/users/ann/grants", status=204)
        for client in (here, there):
            assert client.until("closed").json == {"reason": "revoked", "reconnect": False}
        assert time.monotonic() - began < 1
        for server in workers:
            assert (
                call(server, "GET", "/channels/a/history", headers=ann, status=401)["error"]["code"] == "token_revoked"
            )
        workers.two.publish("a", 1)
        assert other.take(1)[0].json == 1
    assert call(workers.two, "GET", "/channels/a/history", headers=token("ann", subscribe=["*"])), "a new token holds"


def test_a_user_whose_name_is_a_url_is_reached_and_revoked(workers: Fleet) -> None:
    name = "https://issuer.example//ann?x=1#y é"
    path = "/users/https://issuer.example//ann%3Fx=1%23y%20%C3%A9"
    with listen(workers.two, "channel=a", token(name, subscribe=["*"])) as client:
        connect(client)
        answer = call(workers.one, "POST", f"{path}/events", {"data": 1}, status=201)
        assert client.take(1)[0].position == answer["position"]
        call(workers.one, "DELETE", f"{path}/grants", status=204)
        assert client.until("closed").json["reason"] == "revoked"


# History


def test_history_is_read_page_by_page_and_goes_on_as_a_stream(workers: Fleet) -> None:
    after = beginning = workers.one.get_json("/readyz")["position"]
    data: list[Any] = [1, {"b": 1.0, "a": [None, True]}, "é\u2028\n", 10**30, -0.5, "\ud83d"]
    positions = [position for value in data for position in workers.one.publish("past", value, type="t")]
    workers.one.publish("elsewhere", 1)
    assert [event["data"] for event in history(workers, "limit=3")["events"]] == data[-3:], "the newest, unasked"
    found: list[dict[str, Any]] = []
    has_more = True
    while has_more:
        page = history(workers, f"limit=4&after={after}")
        assert page["gap"] is None
        found += page["events"]
        after, has_more = page["position"], page["has_more"]
    assert history(workers, f"after={beginning}")["position"] == after
    assert [event["id"] for event in found] == positions
    assert [event["data"] for event in found] == data
    assert {(event["channel"], event["type"]) for event in found} == {("past", "t")}
    assert all(str(event["time"]) == event["id"].split("-")[0] for event in found)
    with listen(workers.two, "channel=past", last_event_id=after) as client:
        connect(client)
        (position,) = workers.one.publish("past", "live")
        assert client.take(1)[0].id == position


def history(workers: Fleet, query: str) -> Any:
    return call(workers.two, "GET", f"/channels/past/history?{query}")


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ("nonsense", "invalid"),
        ("9" * 400, "invalid"),
        ("1763690000123-4-9f3a2c1b", "lost"),
        ("7763690000123-4-9f3a2c1b", "lost"),
    ],
)
def test_history_says_what_is_missing(workers: Fleet, after: str, reason: str) -> None:
    page = history(workers, f"after={after}")
    assert page["gap"]["reason"] == reason
    assert page["gap"]["from"] == after[:64]
    assert "past" in page["gap"]["channels"]


def test_history_of_a_position_on_a_fork_says_so(workers: Fleet) -> None:
    (position,) = workers.one.publish("past", 1)
    forked = position[:-8] + ("00000000" if not position.endswith("00000000") else "11111111")
    assert history(workers, f"after={forked}")["gap"]["reason"] == "forked"


# Tickets


def test_a_ticket_lets_in_once_at_either_worker(workers: Fleet) -> None:
    answer = call(workers.one, "POST", "/tickets", {"seconds": 30}, token("ann", subscribe=["inbox.{sub}"]), 201)
    assert answer["expires_in"] == 30
    query = f"channel=inbox.ann&ticket={answer['ticket']}"
    with SSEClient(workers.two.port, f"/api/v1/stream?{query}") as client:
        id = connect(client)
        wait_until(lambda: [one["user"] for one in listed(workers.one) if one["id"] == id] == ["ann"], 5, "the listing")
    for server in workers:
        assert call(server, "GET", f"/stream?{query}", headers={}, status=401)["error"]["code"] == "ticket_spent"


def test_a_ticket_is_for_who_is_known_and_came_without_one(workers: Fleet) -> None:
    ticket = call(workers.one, "POST", "/tickets", None, token("ann"), 201)
    assert ticket["expires_in"] == 60
    assert call(workers.one, "POST", "/tickets", headers={}, status=401)
    assert call(workers.one, "POST", f"/tickets?ticket={ticket['ticket']}", headers={}, status=401)
    for body in (b"[]", b'{"seconds":0}', b'{"seconds":61}', b'{"seconds":1.5}', b'{"more":1}', b"x", b"\xff"):
        call(workers.one, "POST", "/tickets", body, token("ann"), 400)


# Refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "missing"),
    [
        ("POST", "/events", {"channel": "a", "data": 1}, "*"),
        ("POST", "/broadcast", {"data": 1}, "all"),
        ("POST", "/users/bob/events", {"data": 1}, "user:*"),
        ("DELETE", "/users/bob/grants", None, "user:*"),
        ("POST", "/listeners/0123456789abcdef/events", {"data": 1}, "listener:*"),
        ("DELETE", "/listeners/0123456789abcdef", None, "listener:*"),
    ],
)
def test_each_way_to_act_needs_its_own_grant(workers: Fleet, method: str, path: str, body: Any, missing: str) -> None:
    assert call(workers.one, method, path, body, {}, 401)["error"]["code"] == "no_grant"
    publish = [pattern for pattern in ALL_OF_IT if pattern != missing]
    bearer = token("ann", publish=publish, subscribe=[*ALL_OF_IT, "presence:*"])
    assert call(workers.one, method, path, body, bearer, 403)["error"]["code"] == "not_granted"


@pytest.mark.parametrize(
    ("path", "missing"),
    [("/listeners", "listener:*"), ("/channels/a/presence", "presence:*"), ("/channels/user:bob/history", "user:*")],
)
def test_each_way_to_look_needs_its_own_grant(workers: Fleet, path: str, missing: str) -> None:
    assert call(workers.one, "GET", path, headers={}, status=401)["error"]["code"] == "no_grant"
    subscribe = [pattern for pattern in [*ALL_OF_IT, "presence:*"] if pattern != missing]
    bearer = token("ann", subscribe=subscribe, publish=ALL_OF_IT)
    assert call(workers.one, "GET", path, headers=bearer, status=403)["error"]["code"] == "not_granted"
    call(workers.one, "GET", path, headers=token("ann", subscribe=[missing]))


def test_a_right_to_send_to_a_single_user_does_not_reach_others(workers: Fleet) -> None:
    bearer = token("ann", publish=["user:bob", "chat.*"])
    call(workers.one, "POST", "/users/bob/events", {"data": 1}, bearer, 201)
    call(workers.one, "POST", "/users/bobby/events", {"data": 1}, bearer, 403)
    call(workers.one, "POST", "/users/*/events", {"data": 1}, bearer, 403)
    call(workers.one, "POST", "/events", [{"channel": "chat.1", "data": 1}], bearer, 201)
    call(workers.one, "POST", "/events", [{"channel": "chat.1", "data": 1}, {"channel": "b", "data": 1}], bearer, 403)
    call(workers.one, "POST", "/events", {"channels": ["chat.1", "b"], "data": 1}, bearer, 403)


def test_only_a_client_that_may_listen_to_something_may_listen_to_all(tmp_path: Path) -> None:
    with fleet(tmp_path, anonymous_channels="") as workers:
        assert call(workers.one, "GET", "/stream?channel=all", headers={}, status=401)["error"]["code"] == "no_grant"
        for headers in (token("ann"), token(subscribe=["a"])):
            with listen(workers.one, "channel=all", headers) as client:
                connect(client)
                call(workers.two, "POST", "/broadcast", {"data": 1}, status=201)
                assert client.take(1)[0].json == 1


# What can't be


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/stream?channel=a&replay=-1", 400, "invalid_query"),
        ("GET", "/stream?channel=a&replay=1001", 400, "invalid_query"),
        ("GET", "/stream?channel=a&replay=x", 400, "invalid_query"),
        ("GET", "/listeners?limit=0", 400, "invalid_query"),
        ("GET", "/listeners?limit=1001", 400, "invalid_query"),
        ("GET", "/listeners?limit=%FF", 400, "invalid_query"),
        ("GET", "/channels/a%20b/history", 400, "channel_name"),
        ("GET", "/channels/%FF/history", 400, "channel_name"),
        ("GET", "/channels/a%20b/presence", 400, "channel_name"),
        ("GET", "/channels/" + "a" * 129 + "/history", 400, "channel_name"),
        ("GET", "/channels/a/history?limit=x", 400, "invalid_query"),
        ("GET", "/channels/a/presence?limit=x", 400, "invalid_query"),
        ("DELETE", "/listeners/x?reconnect=perhaps", 400, "invalid_query"),
        ("DELETE", "/users/%FF/grants", 400, "not_utf8"),
        ("DELETE", "/users/a%0Ab/grants", 404, "not_found"),
        ("DELETE", "/users/" + "a" * 129 + "/grants", 400, "channel_name"),
        ("POST", "/users/%00/events", 400, "channel_name"),
    ],
)
def test_what_cannot_be_used_is_named(workers: Fleet, method: str, path: str, status: int, code: str) -> None:
    body = {"data": 1} if method == "POST" else None
    assert call(workers.one, method, path, body, status=status)["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"[]", "invalid_event"),
        (b"{}", "invalid_event"),
        (b'{"data":1,"channel":"a"}', "invalid_event"),
        (b'{"data":1,"type":"closed"}', "event_type"),
        (b'{"data":1,"type":7}', "event_type"),
        (b'{"data":1,"idempotency_key":""}', "idempotency_key"),
        (b'{"data":NaN}', "not_json"),
        (b'{"data":' + b"[" * 9000, "not_json"),
    ],
)
@pytest.mark.parametrize("path", ["/broadcast", "/users/ann/events"])
def test_bad_bodies_are_refused_by_name_everywhere(workers: Fleet, path: str, body: bytes, code: str) -> None:
    assert call(workers.one, "POST", path, body, status=400)["error"]["code"] == code


def test_a_wrong_content_type_makes_no_difference(workers: Fleet) -> None:
    headers = BEARER | {"Content-Type": "text/html; charset=latin-1"}
    call(workers.one, "POST", "/events", {"channel": "a", "data": 1}, headers, 201)


def test_no_request_of_this_module_made_a_500(workers: Fleet) -> None:
    for server in workers:
        assert "Traceback" not in server.log
    assert json.loads(workers.one.request("GET", "/healthz")[2])["status"] == "ok"


def test_name_of_a_member_that_can_not_be_stored_is_refused_and_harms_no_other_listener(workers: Fleet) -> None:
    headers = token("", subscribe=["lobby"])
    for name in ("a%00b", "%00", "x" * 257):
        with SSEClient(workers.two.port, f"/events?user_id={name}&username=Eve", headers=headers) as refused:
            assert refused.status == 400
    with SSEClient(workers.two.port, f"/events?user_id={'x' * 256}&username=Ann", headers=headers) as client:
        wait_for_listeners(workers.one, {connect(client)})
        members = call(workers.one, "GET", "/channels/lobby/presence")["members"]
        assert "x" * 256 in [one["member"] for one in members]
