"""The hub over one WebSocket, as docs/websocket-hub.md says it: two workers, and clients that others wrote."""

from __future__ import annotations

import json
import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close

from app.identity.tokens import mint
from tests.tools.fixtures import fleet_fixture
from tests.tools.fleet import JWT_KEY, Fleet, call, fleet, listed, token, wait_for_listeners
from tests.tools.serving import BEARER, ROOT, Server, serve, wait_until
from tests.tools.sockets import JSONSocket
from tests.tools.ws_client import WSClient

SCHEMA = json.loads((ROOT / "docs" / "websocket-hub.schema.json").read_text())
MESSAGE = jsonschema_rs.validator_for({"$ref": "#/$defs/Message", "$defs": SCHEMA["$defs"]})
ANN = {"subscribe": ["*", "presence:*"], "publish": ["*"]}


class Hub(JSONSocket):
    """A connection to ``/ws``, past its greeting. Each message that comes is one of the schema.

    Args:
        headers: With a token; when left out, one that may listen to anything.

    Attributes:
        connected: The greeting.
    """

    def __init__(self, server: Server, headers: dict[str, str] | None = None, query: str = "") -> None:
        anyone = token("", subscribe=["*"]) if headers is None else headers
        super().__init__(server, f"/ws?{query}" if query else "/ws", anyone)
        self._asked = 0
        self._passed_over: deque[dict[str, Any]] = deque()
        self.connected = self.until("connected")

    def next(self) -> dict[str, Any]:
        return self._passed_over.popleft() if self._passed_over else self._read()

    def do(self, type: str, **fields: Any) -> Any:
        """The result of a command. What comes before its reply is still to be taken."""
        answer = self._ask(type, fields)
        assert answer["type"] == "reply", answer
        return answer["result"]

    def refused(self, type: str, **fields: Any) -> str:
        """The code of the error that a command leads to."""
        answer = self._ask(type, fields)
        assert answer["type"] == "error", answer
        return str(answer["code"])

    def _ask(self, type: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self.send({"type": type, "id": self._asked, **fields})
        while (message := self._read()).get("id") != self._asked:
            self._passed_over.append(message)
        return message

    def _read(self) -> dict[str, Any]:
        message = super().next()
        MESSAGE.validate(message)
        return message

    def events(self, count: int) -> list[Any]:
        """Return the data of a number of events."""
        return [message["data"] for message in self.take(count, "event")]


workers = fleet_fixture(
    app="tests.apps.inspected:app",
    anonymous_channels="lobby",
    presence_channels="room-*",
    jwt_cookie="token",
    allowed_origins="https://friend.example",
    max_channels_per_listener=4,
)


# Commands


def test_connected_says_who_and_where(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as client:
        assert client.connected["user"] == "ann"
        assert client.connected["channels"] == ["all"]
        wait_for_listeners(workers.two, {client.connected["connection"]})
        (here,) = listed(workers.two)
        assert (here["user"], here["encoding"], here["channels"]) == ("ann", "websocket", ["all"])


def test_an_event_of_the_other_worker_has_channel_type_position_and_time(workers: Fleet) -> None:
    with Hub(workers.one) as client:
        client.do("subscribe", channel="a")
        (position,) = workers.two.publish("a", {"n": "1\n🙂"}, type="created")
        event = client.until("event")
        assert event == {
            "type": "event",
            "channel": "a",
            "event": "created",
            "id": position,
            "time": int(position.partition("-")[0]),
            "data": {"n": "1\n🙂"},
        }


def test_what_one_publishes_here_is_heard_on_the_other_worker(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as speaker, Hub(workers.two) as hearer:
        hearer.do("subscribe", channels=["a", "b"])
        key = {"idempotency_key": "once", "event": "said"}
        first = speaker.do("publish", channel="b", data=[1, {"x": None}], **key)
        assert speaker.do("publish", channel="b", data=[1, {"x": None}], **key) == first
        speaker.do("publish", channel="a", data=3)
        assert hearer.events(2) == [[1, {"x": None}], 3]


def test_the_grant_decides_what_a_client_may_do(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", subscribe=["mine.{sub}"], publish=["out.*"])) as client:
        assert client.refused("subscribe", channel="other") == "not_granted"
        assert client.refused("subscribe", channels=["mine.ann", "mine.bob"]) == "not_granted"
        assert client.do("subscribe", channel="mine.ann")["channels"] == ["mine.ann"]
        assert client.refused("publish", channel="mine.ann", data=1) == "not_granted"
        assert client.refused("history", channel="other") == "not_granted"
        assert client.refused("presence", channel="mine.ann") == "not_granted"
        assert client.refused("publish", channel="user:ann", data=1) == "not_granted"
        assert client.do("publish", channel="out.1", data=1)["position"]


def test_a_subscription_to_a_run_ends_with_it_and_the_connection_stays(workers: Fleet) -> None:
    assert workers.two.request("POST", "/inspect/runs/r1")[0] == 200
    with Hub(workers.one) as client:
        assert client.refused("subscribe", channel="run:r1") == "not_granted"
    with Hub(workers.one, token("ann", subscribe=["a", "run:*"])) as client:
        client.do("subscribe", channel="a")
        for times in range(2):
            client.do("subscribe", channel="run:r1")
            assert client.until("event")["data"] == "begun", "from the beginning"
            if not times:
                assert client.refused("subscribe", channel="run:r1") == "already_subscribed"
                assert workers.two.request("DELETE", "/inspect/runs/r1")[0] == 200
            assert client.until("event")["event"] == "cancelled"
            wait_until(lambda: len(listed(workers.one)) == 2, 5, "the run's listener to be gone")
        workers.two.publish("a", "still here")
        assert client.events(1) == ["still here"]


def test_a_connection_for_a_run_alone_closes_after_it(workers: Fleet) -> None:
    assert workers.two.request("POST", "/inspect/runs/r2")[0] == 200
    with Hub(workers.one, token("ann", subscribe=["run:r2"]), "channel=run:r2") as client:
        assert client.events(1) == ["begun"]
        assert workers.two.request("DELETE", "/inspect/runs/r2")[0] == 200
        assert client.until("event")["event"] == "cancelled"
        closing = client.until("closing")
        assert (closing["code"], closing["reason"], closing["reconnect"]) == (1000, "finished", False)
    with Hub(workers.two, BEARER, "channel=run:r2") as client:
        assert client.events(1) == ["begun"], "the publish key reaches all channels"


def test_what_is_no_command_is_told_and_the_connection_stays(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as client:
        for text, code, id in (
            ("nonsense", "not_json", None),
            ('{"type":"publish","id":1,"channel":"a","data":' + "[" * 100_000, "not_json", None),
            ('{"type":"ping","id":"' + "x" * 129 + '"}', "invalid_command", None),
            ("[]", "invalid_command", None),
            ('{"id":7}', "invalid_command", 7),
            ('{"type":"dance","id":"x"}', "invalid_command", "x"),
            ('{"type":"ping"}', "invalid_command", None),
            ('{"type":"ping","id":true}', "invalid_command", None),
            ('{"type":"ping","id":' + "9" * 30 + "}", "invalid_command", None),
            ('{"type":"ping","id":"\\ud83d"}', "invalid_command", None),
            ('{"type":"presence","id":8,"channel":"a","after":"\\ud83d"}', "invalid_command", 8),
            ('{"type":"ping","id":1,"more":2}', "invalid_command", 1),
            ('{"type":"history","id":2,"channel":"a","limit":0}', "invalid_command", 2),
            ('{"type":"history","id":2,"channel":"a b"}', "channel_name", 2),
            ('{"type":"subscribe","id":3}', "invalid_command", 3),
            ('{"type":"subscribe","id":3,"channel":"a","channels":["b"]}', "invalid_command", 3),
            ('{"type":"subscribe","id":3,"channels":[]}', "invalid_command", 3),
            ('{"type":"publish","id":4,"channel":"all","data":1}', "not_granted", 4),
            ('{"type":"publish","id":4,"channel":"a","data":1,"event":"gap"}', "event_type", 4),
            ('{"type":"publish","id":4,"channel":"a","data":NaN}', "not_json", None),
            ('{"type":"unsubscribe","id":5,"channel":"a"}', "not_subscribed", 5),
        ):
            client.send(text)
            answer = client.next()
            assert (answer["type"], answer["code"], answer["id"]) == ("error", code, id), text[:80]
        assert client.do("ping")["time"]


def test_an_id_may_be_a_number_or_text(workers: Fleet) -> None:
    with Hub(workers.one) as client:
        for id in (0, -1, 10**15, "", "é"):
            client.send({"type": "ping", "id": id})
            assert client.next()["id"] == id


def test_history_is_a_page_with_its_verdict(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as client:
        positions = workers.two.publish("old", 1, 2, 3)
        page = client.do("history", channel="old", after=positions[0], limit=1)
        assert [event["data"] for event in page["events"]] == [2]
        assert (page["has_more"], page["gap"]) == (True, None)
        assert client.do("history", channel="old", after="nonsense")["gap"]["reason"] == "invalid"


def test_presence_is_who_is_there_and_joins_and_leaves_are_events(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as ann:
        ann.do("subscribe", channel="presence:room-1")
        with Hub(workers.two, token("bob", subscribe=["*"], meta={"name": "Bob"})) as bob:
            bob.do("subscribe", channel="room-1")
            joined = ann.until("event", channel="presence:room-1")
            assert (joined["event"], joined["data"]["member"]) == ("join", "bob")
            members = ann.do("presence", channel="room-1")["members"]
            assert [(one["member"], one["meta"]) for one in members] == [("bob", {"name": "Bob"})]
            bob.do("unsubscribe", channel="room-1")
            assert ann.until("event")["event"] == "leave"


def test_each_command_of_the_schema_can_be_sent(workers: Fleet) -> None:
    command = jsonschema_rs.validator_for({"$ref": "#/$defs/Command", "$defs": SCHEMA["$defs"]})
    with Hub(workers.one, token("ann", **ANN)) as client:
        for name, fields in (
            ("subscribe", {"channels": ["a", "b"], "replay": 2}),
            ("publish", {"channel": "a", "data": {"x": 1}, "event": "e", "idempotency_key": "k"}),
            ("history", {"channel": "a", "limit": 5}),
            ("presence", {"channel": "a"}),
            ("unsubscribe", {"channels": ["a", "b"]}),
            ("ping", {}),
        ):
            command.validate({"type": name, "id": 1, **fields})
            client.do(name, **fields)


# Several channels


def test_each_subscription_resumes_from_its_own_position(workers: Fleet) -> None:
    a, b = workers.one.publish("ra", 1, 2, 3), workers.one.publish("rb", 10, 20, 30)
    with Hub(workers.two) as client:
        client.do("subscribe", channel="ra", position=a[0])
        client.do("subscribe", channel="rb", position=b[1])
        client.do("subscribe", channel="rc")
        workers.one.publish("rc", "new")
        found: dict[str, list[Any]] = {"ra": [], "rb": [], "rc": []}
        for event in client.take(4, "event"):
            found[event["channel"]].append(event["data"])
        assert found == {"ra": [2, 3], "rb": [30], "rc": ["new"]}


def test_replay_gives_the_newest_first(workers: Fleet) -> None:
    workers.one.publish("newest", 1, 2, 3)
    with Hub(workers.two) as client:
        client.do("subscribe", channel="newest", replay=2)
        assert client.events(2) == [2, 3]


def test_what_is_missing_is_said_before_the_first_event(workers: Fleet) -> None:
    workers.one.publish("holes", 1)
    with Hub(workers.two) as client:
        client.do("subscribe", channel="holes", position="not a position")
        workers.one.publish("holes", 2)
        gap, event = client.take(2)
        assert (gap["type"], gap["reason"], gap["from"]) == ("gap", "invalid", "not a position")
        assert "holes" in gap["channels"]
        assert event["data"] == 2


def test_a_broadcast_and_what_is_for_one_user_comes_once_however_many_subscriptions(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", **ANN)) as client:
        for channel in ("a", "b", "c"):
            client.do("subscribe", channel=channel)
        call(workers.two, "POST", "/broadcast", {"data": "everyone"}, status=201)
        call(workers.two, "POST", "/users/ann/events", {"data": "ann"}, status=201)
        id = client.connected["connection"]
        call(workers.two, "POST", f"/listeners/{id}/events", {"data": "you"}, status=201)
        workers.two.publish("c", "end")
        seen = client.events(4)
        assert sorted(seen) == ["ann", "end", "everyone", "you"]
        with pytest.raises(TimeoutError):
            client.ws.recv(timeout=0.3)


def test_what_one_has_already_is_not_had_twice(workers: Fleet) -> None:
    with Hub(workers.one, token("ann", subscribe=["*", "user:ann"]), "channel=u") as client:
        client.do("subscribe", channel="a")
        for channel in ("a", "u", "all", "user:ann"):
            assert client.refused("subscribe", channel=channel) == "already_subscribed"
        assert client.refused("subscribe", channels=["b", "a"]) == "already_subscribed"


def test_channels_of_a_connection_are_bounded(workers: Fleet) -> None:
    with Hub(workers.one, query="channel=a") as client:
        client.do("subscribe", channels=["b", "c"])
        assert client.refused("subscribe", channels=["d", "e"]) == "channel_count"
        client.do("subscribe", channel="d")
        assert client.refused("subscribe", channel="e") == "channel_count"
        client.do("unsubscribe", channel="b")
        client.do("subscribe", channel="e")


def test_the_channels_of_the_url_need_no_command(workers: Fleet) -> None:
    positions = workers.one.publish("url", 1, 2, 3)
    with Hub(workers.two, query=f"channel=url&last_event_id={positions[0]}") as client:
        assert client.events(2) == [2, 3]
    with Hub(workers.two, query="channel=url&replay=1") as client:
        assert client.events(1) == [3]


def test_unsubscribing_leaves_the_others_and_says_where_to_go_on(workers: Fleet) -> None:
    with Hub(workers.one) as client:
        client.do("subscribe", channels=["ua", "ub"])
        workers.two.publish("ua", 1)
        workers.two.publish("ub", 2)
        assert client.events(2) == [1, 2]
        (left,) = client.do("unsubscribe", channel="ua")["left"]
        assert left["channels"] == ["ua"]
        workers.two.publish("ua", 3)
        workers.two.publish("ub", 4)
        assert client.events(1) == [4]
        client.do("subscribe", channel="ua", position=left["position"])
        assert client.events(1) == [3]
        standing = client.do("ping")["subscriptions"]
        assert [each["channels"] for each in standing] == [["all"], ["ub"], ["ua"]]


def test_what_flows_while_one_channel_is_left_is_neither_lost_nor_doubled(workers: Fleet) -> None:
    channels = ["fa", "fb"]
    with Hub(workers.one) as client:
        client.do("subscribe", channels=channels)
        numbers = []
        for turn in range(30):
            workers.two.publish("fa", *range(turn * 10, turn * 10 + 10))
            client.send({"type": "unsubscribe", "id": turn, "channel": "fb"})
            workers.two.publish("fa", *range(1000 + turn * 10, 1010 + turn * 10))
            client.send({"type": "subscribe", "id": turn, "channel": "fb"})
        while len(numbers) < 600:
            numbers += [event["data"] for event in client.take(1, "event")]
        expected = [
            n for turn in range(30) for base in (0, 1000) for n in range(base + turn * 10, base + turn * 10 + 10)
        ]
        assert numbers == expected


# Who may come in


@pytest.mark.parametrize("way", ["bearer", "cookie", "ticket", "key"])
def test_one_comes_in_by_token_cookie_ticket_or_key(workers: Fleet, way: str) -> None:
    bearer = token("ann", **ANN)
    headers, query = bearer, ""
    if way == "cookie":
        headers = {"Cookie": "token=" + bearer["Authorization"].removeprefix("Bearer ")}
        headers["Origin"] = f"http://127.0.0.1:{workers.one.port}"
    elif way == "ticket":
        headers, query = {}, "ticket=" + call(workers.two, "POST", "/tickets", headers=bearer, status=201)["ticket"]
    elif way == "key":
        headers = BEARER
    with Hub(workers.one, headers, query) as client:
        assert client.connected["user"] == ("" if way == "key" else "ann")
        client.do("publish", channel="a", data=1)
    if way == "ticket":
        assert turned_away(workers.one, {}, query) == (401, "ticket_spent")


def test_a_refused_client_is_told_by_http(workers: Fleet) -> None:
    cookie = {"Cookie": "token=" + token("ann", **ANN)["Authorization"].removeprefix("Bearer ")}
    assert turned_away(workers.one, {"Authorization": "Bearer nonsense"}) == (401, "token_malformed")
    assert turned_away(workers.one, {"Origin": "https://evil.example"}) == (403, "origin")
    assert turned_away(workers.one, cookie | {"Origin": "https://evil.example"}) == (403, "origin")
    assert turned_away(workers.one, {}, "channel=other") == (401, "no_grant")
    assert turned_away(workers.one, token("ann", subscribe=["x"]), "channel=y") == (403, "not_granted")
    assert turned_away(workers.one, query="replay=x") == (400, "invalid_query")
    with Hub(workers.one, cookie | {"Origin": "https://friend.example"}) as client:
        assert client.connected["user"] == "ann"
    status, headers, _ = workers.one.request("GET", "/ws")
    assert (status, headers["upgrade"]) == (426, "websocket")


def turned_away(server: Server, headers: dict[str, str] | None = None, query: str = "") -> tuple[int, str]:
    """Status and code with which the handshake is answered."""
    with pytest.raises(InvalidStatus) as refused:
        Hub(server, headers, query)
    response = refused.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


# The end


@pytest.mark.parametrize("which", ["connection", "subscription"])
def test_a_kick_of_either_listener_ends_the_connection_with_its_code(workers: Fleet, which: str) -> None:
    with Hub(workers.one, token("ann", **ANN)) as client:
        subscription = client.do("subscribe", channel="a")["subscription"]
        id = client.connected["connection"] if which == "connection" else subscription
        call(workers.two, "DELETE", f"/listeners/{id}", status=204)
        assert goodbye(client, 4000) == {"reason": "kicked", "reconnect": True}


def test_a_revoked_token_ends_the_connection_for_good(workers: Fleet) -> None:
    with Hub(workers.one, token("eve", **ANN)) as client:
        client.do("subscribe", channel="a")
        call(workers.two, "DELETE", "/users/eve/grants", status=204)
        assert goodbye(client, 4500) == {"reason": "revoked", "reconnect": False}


def close_frame(client: Hub) -> Close:
    """What comes next, and nothing before it."""
    with pytest.raises(ConnectionClosed) as closed:
        client.next()
    assert closed.value.rcvd is not None, "it was cut"
    return closed.value.rcvd


def goodbye(client: Hub, code: int) -> dict[str, Any]:
    """What the last message says, and the close frame after it."""
    closing = client.until("closing")
    assert closing["code"] == code
    assert ("retry_ms" in closing) == closing["reconnect"]
    close = close_frame(client)
    assert (close.code, close.reason) == (code, closing["message"])
    return {name: closing[name] for name in ("reason", "reconnect")}


def test_a_token_that_ends_ends_the_connection(workers: Fleet) -> None:
    bearer = {"Authorization": "Bearer " + mint(JWT_KEY, seconds=3, user="ann", **ANN)}
    with Hub(workers.one, bearer) as client:
        assert goodbye(client, 4501) == {"reason": "expired", "reconnect": False}


@pytest.mark.parametrize("seconds", [1.0, 1.15, 1.3])
def test_a_token_that_has_ended_publishes_nothing(workers: Fleet, seconds: float) -> None:
    """A worker looks for connections whose token has ended twice a second."""
    bearer = {"Authorization": "Bearer " + mint(JWT_KEY, seconds=seconds, user="late", **ANN)}
    ends = time.time() + seconds
    with Hub(workers.one, bearer) as client:
        last = first = client.do("publish", channel="a", data=0)["position"]
        with suppress(ConnectionClosed):
            while (answer := client._ask("publish", {"channel": "a", "data": 1}))["type"] == "reply":
                last = answer["result"]["position"]
                time.sleep(0.02)
            assert answer["code"] == "token_expired"
    assert last != first and int(last.partition("-")[0]) <= 1000 * (ends + 0.1)


def test_a_drain_says_when_to_come_back_and_not_the_same_to_everyone(tmp_path: Path) -> None:
    with fleet(tmp_path) as workers:
        clients = [Hub(workers.one) for _ in range(10)]
        for client in clients[:5]:
            client.do("subscribe", channels=["a", "b"])
        workers.one.signal(signal.SIGTERM)
        waits = set()
        for client in clients:
            closing = client.until("closing")
            assert (closing["code"], closing["reason"], closing["reconnect"]) == (1012, "draining", True)
            assert 1000 <= closing["retry_ms"] <= 3000
            waits.add(closing["retry_ms"])
            assert close_frame(client).code == 1012
        assert len(waits) > 5


def test_a_client_that_leaves_leaves_nothing_behind(workers: Fleet) -> None:
    def inspect() -> dict[str, Any]:
        return dict(workers.one.get_json("/inspect"))

    with Hub(workers.one) as client:  # what the first one makes stays
        client.do("subscribe", channel="left-1")
    wait_until(lambda: not inspect()["listeners"], 5, "the first to be gone")
    before = inspect()
    for number in range(50):
        client = Hub(workers.one)
        client.do("subscribe", channels=["left-1", "left-2"])
        if number % 2:
            client.close()
        else:
            client.ws.socket.close()
    same = ("listeners", "channels", "audiences", "greenlets", "descriptors")
    wait_until(lambda: all(inspect()[name] <= before[name] for name in same), 10, f"{same} as before: {before}")


# Slow, and killed


def test_a_slow_reader_gets_everything_in_order(workers: Fleet) -> None:
    padding = "x" * 2000
    with Hub(workers.one) as client:
        client.do("subscribe", channel="slow")
        # Nothing is read meanwhile: 2 MB are more than kernel and queues hold.
        for first in range(0, 1000, 100):
            workers.two.publish("slow", *([n, padding] for n in range(first, first + 100)))
        assert [n for n, _ in client.events(1000)] == list(range(1000))
    metrics = workers.one.get_json("/inspect")["metrics"]
    assert metrics.get("simulcast_overflows_total", 0) > 0, "it has been sent back to history"


def test_a_client_that_takes_nothing_is_kicked_all_the_same(workers: Fleet) -> None:
    with WSClient(workers.one.port, "/ws?channel=stuck", BEARER, receive_buffer=4096) as client:
        id = json.loads(client.hear())["connection"]
        for _ in range(20):
            workers.two.publish("stuck", *["x" * 50_000] * 10)
        wait_for_listeners(workers.two, {id})
        call(workers.two, "DELETE", f"/listeners/{id}", status=204)
        wait_for_listeners(workers.two, set())
        name = 'simulcast_websocket_closed_total{reason="kicked"}'
        wait_until(lambda: workers.one.get_json("/inspect")["metrics"].get(name), 5, "its counter")


def test_a_subscription_is_ended_by_the_end_of_its_connection_for_the_same_reason(tmp_path: Path) -> None:
    with serve(tmp_path, app="tests.apps.inspected:app", stall_seconds=1, heartbeat_seconds=0.2) as server:
        client = WSClient(server.port, "/ws?channel=a")  # answers no ping
        with client:
            client.hear()
            assert client.closing().code == 4001

        def count(name: str) -> int:
            return int(server.get_json("/inspect")["metrics"].get(f'simulcast_{name}_total{{reason="stalled"}}', 0))

        wait_until(lambda: count("websocket_closed") == count("listener_closed") == 1, 5, "both to be counted")
