"""Every call that the guide of the seed shows has its counterpart here; docs/api.md has the table, with these tests' names.

Requests that send go to one worker, and the listeners are on the other.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.tools.clients import SSEClient
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import Fleet, call, connect, fleet, listed, listen, token, wait_for_listeners
from tests.tools.serving import BEARER, serve, wait_until

workers = fleet_fixture(presence_channels="chat-room-*", history_channels='{"chat:": [100, 3600, 2]}')


# Configuration


def test_history_size_is_how_many_events_a_new_client_can_be_given(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", replay_events=3) as server:
        server.publish("news", 1, 2, 3, 4, 5)
        with listen(server, "channel=news") as client:
            assert [block.json for block in client.take(3, "message")] == [3, 4, 5]


def test_ping_interval_is_the_heartbeat_of_an_idle_stream(tmp_path: Path) -> None:
    with (
        serve(tmp_path, broker_url="memory://", heartbeat_seconds=0.2) as server,
        listen(server, "channel=a") as client,
    ):
        assert [block.json.keys() for block in client.take(2, "heartbeat")] == [{"time"}] * 2


# Endpoints


def test_sse_without_a_channel_gets_what_goes_to_all(workers: Fleet) -> None:
    with listen(workers.two, "channel=all") as client:
        assert client.until("connected").json["channels"] == ["all"]
        answer = call(workers.one, "POST", "/broadcast", {"data": 1}, status=201)
        block = client.next()
        assert block is not None
        assert (block.position, block.type, block.json) == (answer["position"], "message", 1)


def test_sse_with_channel_gets_that_channel_alone(workers: Fleet) -> None:
    with listen(workers.two, "channel=chat-room-1") as client:
        connect(client)
        workers.one.publish("chat-room-2", "not this")
        workers.one.publish("chat-room-1", "this")
        assert client.take(1)[0].json == "this"


def test_sse_with_channels_gets_all_of_them_in_order(workers: Fleet) -> None:
    with listen(workers.two, "channel=news&channel=alerts&channel=updates") as client:
        connect(client)
        for number, channel in enumerate(["alerts", "news", "updates", "alerts"]):
            workers.one.publish(channel, number)
        assert [block.json for block in client.take(4)] == [0, 1, 2, 3]


# Sending


def test_send_sse_reaches_everyone_whatever_they_listen_to(workers: Fleet) -> None:
    data = {"title": "重要通知", "content": "系统将在 30 分钟后维护"}
    with (
        listen(workers.one, "channel=a") as here,
        listen(workers.two, "channel=b&channel=c", token("ann", subscribe=["*"])) as there,
        listen(workers.two, "channel=d", accept="application/x-ndjson") as lines,
    ):
        connect(here)
        connect(there)
        answer = call(workers.one, "POST", "/broadcast", {"type": "news", "data": data}, status=201)
        for client in (here, there):
            block = client.until("news")
            assert (block.position, block.json) == (answer["position"], data)
        text = read_lines_until(lines, b'"type":"news"')
        assert json.loads(text.splitlines()[-1])["data"] == data


def test_send_sse_to_channel_reaches_its_listeners_with_the_type(workers: Fleet) -> None:
    data = {"user": "Alice", "text": "Hello!"}
    with listen(workers.two, "channel=chat-room-1") as client:
        connect(client)
        (position,) = workers.one.publish("chat-room-1", data, type="notification")
        block = client.until("notification")
        assert (block.position, block.json) == (position, data)


def test_send_sse_to_client_reaches_one_connection_on_the_other_worker(workers: Fleet) -> None:
    with (
        listen(workers.two, "channel=shared") as one,
        listen(workers.two, "channel=shared") as second,
        listen(workers.two, "channel=shared") as third,
    ):
        id = connect(one)
        connect(second)
        connect(third)
        workers.one.publish("shared", 1)
        answer = call(
            workers.one, "POST", f"/listeners/{id}/events", {"type": "notification", "data": "you"}, status=201
        )
        workers.one.publish("shared", 2)
        mine = one.take(3)
        assert [block.json for block in mine] == [1, "you", 2]
        assert (mine[1].position, mine[1].type) == (answer["position"], "notification")
        # The frames of the others are unchanged, and shared by all.
        others = [second.take(2), third.take(2)]
        assert [[block.text for block in blocks] for blocks in others] == [[mine[0].text, mine[2].text]] * 2


def test_send_sse_to_client_who_is_not_there_is_told_so(workers: Fleet) -> None:
    answer = call(workers.one, "POST", "/listeners/0123456789abcdef/events", {"data": 1}, status=404)
    assert answer["error"]["code"] == "no_such_listener"


def test_send_sse_to_channels_is_one_event_in_each_all_or_none(workers: Fleet) -> None:
    with (
        listen(workers.two, "channel=channel1&channel=channel2") as both,
        listen(workers.two, "channel=channel2") as second,
    ):
        connect(both)
        connect(second)
        event = {"channels": ["channel2", "channel1"], "type": "event-type", "data": 1}
        positions = call(workers.one, "POST", "/events", event, status=201)["positions"]
        assert [block.position for block in both.take(2, "event-type")] == positions
        assert second.until("event-type").id == positions[0]
        refused = call(workers.one, "POST", "/events", event | {"channels": ["channel1", "not good"]}, status=400)
        assert refused["error"]["code"] == "channel_name"
        (after,) = workers.one.publish("channel1", "after")
        assert both.take(1)[0].position == after, "nothing of what was refused was stored"


def test_send_to_a_user_reaches_all_their_connections_on_all_workers(workers: Fleet) -> None:
    """The seed's channel "user-" + id, except that a user can't listen to another user's channel."""
    ann, bob = token("ann", subscribe=["*"]), token("bob", subscribe=["*"])
    with (
        listen(workers.one, "channel=x", ann) as laptop,
        listen(workers.two, "channel=y", ann) as phone,
        listen(workers.two, "channel=x&channel=y", ann) as tablet,
        listen(workers.two, "channel=x", bob) as other,
    ):
        for client in (laptop, phone, tablet, other):
            connect(client)
        answer = call(workers.one, "POST", "/users/ann/events", {"type": "notification", "data": "hi"}, status=201)
        for client in (laptop, phone, tablet):
            assert client.until("notification").position == answer["position"]
        (position,) = workers.one.publish("x", 1)
        assert other.take(1)[0].id == position
    assert call(workers.two, "GET", "/channels/user:ann/history", headers=bob, status=403)
    with listen(workers.two, "channel=x", ann, last_event_id=answer["position"]) as again:
        assert again.take(2)[1].json == 1, "what came later is still to come, what was had is not"


# Looking


def test_get_sse_hub_get_channel_clients_lists_those_of_one_channel(workers: Fleet) -> None:
    with listen(workers.one, "channel=listed&channel=x") as here, listen(workers.two, "channel=listed") as there:
        ids = {connect(here), connect(there)}
        with listen(workers.two, "channel=x") as other:
            wait_for_listeners(workers.one, {*ids, connect(other)})
            assert {one["id"] for one in listed(workers.one, "channel=listed")} == ids


def test_get_channel_clients_of_a_chat_room_are_its_members(workers: Fleet) -> None:
    """`GET /chat/:room/users` of the seed: room, users, count."""
    ann, bob = (token(user, subscribe=["chat-room-*"]) for user in ("ann", "bob"))
    room = "/channels/chat-room-users/presence"
    with (
        listen(workers.one, "channel=chat-room-users", ann) as first,
        listen(workers.two, "channel=chat-room-users", ann) as second,
        listen(workers.two, "channel=chat-room-users", bob) as third,
    ):
        wait_for_listeners(workers.one, {connect(client) for client in (first, second, third)})
        found = call(workers.two, "GET", room)
        assert [(one["member"], one["listeners"]) for one in found["members"]] == [("ann", 2), ("bob", 1)]
        assert (found["channel"], found["count"], found["next"]) == ("chat-room-users", 2, None)
        first_page = call(workers.two, "GET", f"{room}?limit=1")
        assert (first_page["count"], first_page["next"]) == (1, "ann")
        assert call(workers.two, "GET", f"{room}?limit=1&after=ann")["members"][0]["member"] == "bob"


def test_user_join_is_told_to_the_others_in_the_room(workers: Fleet) -> None:
    with listen(workers.one, "channel=presence:chat-room-7", BEARER) as watcher:
        connect(watcher)
        with listen(workers.two, "channel=chat-room-7", token("eve", subscribe=["chat-room-*"])) as client:
            connect(client)
            assert watcher.until("join").json["member"] == "eve"
        assert watcher.until("leave").json["member"] == "eve"


def test_get_all_clients_lists_every_worker_page_by_page(workers: Fleet) -> None:
    with (
        listen(workers.one, "channel=p") as a,
        listen(workers.two, "channel=p") as b,
        listen(workers.two, "channel=p", token("zoe", subscribe=["*"]), accept="application/x-ndjson") as c,
    ):
        ids = {connect(a), connect(b)}
        wait_until(lambda: len(listed(workers.one)) == 3, 5, "three listeners")
        pages = []
        after = ""
        while after is not None:
            page = call(workers.one, "GET", f"/listeners?limit=2&after={after}")
            pages.append(page["listeners"])
            after = page["next"]
        assert [len(page) for page in pages] == [2, 1]
        found = [one for page in pages for one in page]
        assert [one["id"] for one in found] == sorted(one["id"] for one in found)
        assert ids < {one["id"] for one in found}
        (zoe,) = listed(workers.two, "user=zoe")
        assert (zoe["user"], zoe["encoding"], zoe["channels"], zoe["meta"]) == ("zoe", "ndjson", ["p"], {})
        assert c.status == 200


def test_client_metadata_comes_from_the_token_or_the_route(workers: Fleet) -> None:
    meta = {"username": "Ann", "level": 7}
    with (
        listen(workers.two, "channel=q", token("ann", subscribe=["*"], meta=meta)) as by_token,
        SSEClient(
            workers.two.port, "/events?user_id=u9&username=Bob", headers=token("", subscribe=["lobby"])
        ) as by_route,
    ):
        ids = [connect(by_token), connect(by_route)]
        wait_for_listeners(workers.one, set(ids))
        metas = {one["id"]: one["meta"] for one in listed(workers.one)}
        assert [metas[id] for id in ids] == [meta, {"user_id": "u9", "username": "Bob"}]
        assert call(workers.one, "GET", "/channels/lobby/presence")["members"][0]["member"] == "u9"


# Limits and clean-up


def test_client_count_is_told_by_the_health_check(workers: Fleet) -> None:
    with listen(workers.one, "channel=a") as client:
        connect(client)
        wait_until(lambda: workers.one.get_json("/healthz").get("activeConnections") == 1, 5, "one connection")


def test_max_clients_turns_the_next_one_away_politely(tmp_path: Path) -> None:
    with serve(tmp_path, broker_url="memory://", max_listeners=1) as server, listen(server, "channel=a") as first:
        connect(first)
        with listen(server, "channel=a") as browser:
            assert browser.status == 200, "any other status would end an EventSource for ever"
            assert [block.type for block in browser.rest()] == ["closed"]
        status, headers, body = server.request("GET", "/api/v1/stream?channel=a")
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["error"]["code"] == "listener_limit"


def test_cleanup_disconnected_and_on_client_disconnect_happen_by_themselves(workers: Fleet) -> None:
    with listen(workers.two, "channel=a") as client:
        id = connect(client)
        wait_for_listeners(workers.one, {id})
    wait_for_listeners(workers.one, set())
    assert id in json.loads(workers.two.request("GET", "/gone")[2])


# Authentication


def test_require_jwt_lets_in_by_token_and_names_what_is_missing(tmp_path: Path) -> None:
    with fleet(tmp_path, anonymous_channels="news") as workers:
        for headers, status, code in (
            ({}, 401, "no_grant"),
            ({"Authorization": "Bearer nonsense"}, 401, "token_malformed"),
            (token("ann", subscribe=["news"]), 403, "not_granted"),
        ):
            answer = call(workers.one, "GET", "/stream?channel=inbox.ann", headers=headers, status=status)
            assert answer["error"]["code"] == code
        with listen(workers.one, "channel=inbox.ann", token("ann", subscribe=["inbox.{sub}"])) as client:
            connect(client)
            workers.two.publish("inbox.ann", 1)
            assert client.take(1)[0].json == 1
        assert call(
            workers.one, "GET", "/stream?channel=inbox.ann", headers=token("bob", subscribe=["inbox.{sub}"]), status=403
        )


# History


def test_new_client_gets_history_first_by_replay_or_by_the_channels_default(workers: Fleet) -> None:
    workers.one.publish("chat:1", 1, 2, 3)
    workers.one.publish("plain", 1, 2, 3)
    for query, expected in (
        ("channel=chat:1", [2, 3, "live"]),
        ("channel=plain", ["live"]),
        ("channel=plain&replay=2", [2, 3, "live"]),
        ("channel=chat:1&replay=1", [3, "live"]),
        ("channel=chat:1&replay=0", ["live"]),
    ):
        with listen(workers.two, query) as client:
            if expected != ["live"]:
                replayed = client.take(len(expected) - 1, "message")
                assert [block.json for block in replayed] == expected[:-1], query
            else:
                connect(client)
            channel = query.removeprefix("channel=").partition("&")[0]
            call(workers.one, "POST", "/broadcast", {"data": "live"}, status=201)
            assert client.until("message").json == "live", channel


def test_reconnect_gets_what_was_missed_from_the_other_worker(workers: Fleet) -> None:
    with listen(workers.one, "channel=missed") as client:
        connect(client)
        workers.one.publish("missed", 1)
        client.take(1)
        last = client.last_id
    workers.one.publish("missed", 2, 3)
    for options in ({"last_event_id": last}, {}):
        query = "channel=missed" if options else f"channel=missed&last_event_id={last}"
        with listen(workers.two, query, **options) as client:
            assert [block.json for block in client.take(2, "message")] == [2, 3]


# Binary data, and what goes wrong


def test_binary_data_arrives_as_base64(workers: Fleet) -> None:
    data = bytes(range(256))
    with listen(workers.two, "channel=binary") as client:
        connect(client)
        assert workers.one.request("POST", "/binary", data)[0] == 201
        assert client.until("binary-data").json == {
            "file": {"data": base64.b64encode(data).decode(), "encoding": "base64"}
        }


def test_recover_a_view_that_raises_harms_no_other_listener(workers: Fleet) -> None:
    with (
        listen(workers.two, "channel=lobby") as plain,
        SSEClient(workers.two.port, "/panics-within") as viewed,
    ):
        connect(plain)
        connect(viewed)
        status, _, body = workers.two.request("GET", "/panics-before")
        assert status == 500
        assert b"on purpose" not in body
        workers.one.publish("lobby", "unexpected", {"n": 4})
        assert [block.json for block in plain.take(2, "message")] == ["unexpected", {"n": 4}]
        assert viewed.until("message").json == 8, "one event was lost to this view alone"


def read_lines_until(client: SSEClient, text: bytes) -> bytes:
    """Of NDJSON: all that came, to the end of the first line with this in it."""
    while not (client._text.endswith(b"\n") and text in client._text):
        assert client._fill(), "the stream ended"
    return client._text
