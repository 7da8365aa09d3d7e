"""Notifications over two workers: one backend notifies, users have several devices, and a notification outlives the log."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.integration.test_wukongs import turn_to_write
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server

STREAM = "/api/v1/notifications"
DAY_MS = 86_400_000

server = server_fixture(
    on=("sqlite", "redis"), workers=2, jwt_key=JWT_KEY, publish_rate=0, broker_seconds=2, anonymous_channels="news"
)


def device(server: Server, user: str, **options: Any) -> SSEClient:
    return SSEClient(server.port, STREAM, headers=token(user), **options)


def notify(server: Server, user: str, message: str, type: str = "info", headers: dict[str, str] = BEARER) -> str:
    body = {"user_id": user, "type": type, "message": message}
    return str(call(server, "POST", "/notify", body, headers, 201)["position"])


def unread(server: Server, user: str, query: str = "") -> Any:
    return call(server, "GET", f"/notifications/unread{query}", headers=token(user))


def rows(server: Server, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(server.folder / "instance" / "service.db")) as db, db:
        return db.execute(statement, values).fetchall()


def test_every_device_gets_a_notification_and_hears_that_one_has_read_it(server: Server) -> None:
    with ExitStack() as stack:
        devices = [stack.enter_context(device(server, "ann/小明")) for _ in range(4)]
        for one in devices:
            assert one.until("unread").json == {"count": 0, "notifications": [], "next": None}
        position = notify(server, "ann/小明", "Disk is full\n<b>now</b>", "error")
        notify(server, "bob", "not for Ann")
        for one in devices:
            block = one.next()
            assert block is not None
            assert (block.type, block.id) == ("notification", position)
            assert block.json == {"type": "error", "message": "Disk is full\n<b>now</b>", "time": block.json["time"]}
            assert abs(block.json["time"] / 1000 - time.time()) < 30
        waiting = unread(server, "ann/小明")
        assert waiting == {"count": 1, "notifications": [{"position": position, **block.json}], "next": None}
        for _ in range(2):  # the second one tells nothing new
            call(server, "POST", f"/notifications/{position}/read", headers=token("ann/小明"), status=204)
        again = notify(server, "ann/小明", "again")
        for one in devices:
            read, last = one.take(2)
            assert (read.type, read.json) == ("notification-read", {"position": position})
            assert (last.type, last.id) == ("notification", again)
        assert [one["position"] for one in unread(server, "ann/小明")["notifications"]] == [again]


def test_devices_that_come_while_notifications_do_get_each_of_them_once(server: Server) -> None:
    """The seam: what is in `unread` does not come again, and what is not in it comes."""
    sent: list[str] = []
    backend = threading.Thread(target=lambda: sent.extend(notify(server, "cyd", f"{n}") for n in range(40)))
    with ExitStack() as stack:
        backend.start()
        devices = []
        while backend.is_alive():
            devices.append(stack.enter_context(device(server, "cyd")))
        backend.join()
        notify(server, "cyd", "last")
        assert len(devices) > 3
        for one in devices:
            got = Counter(each["position"] for each in one.until("unread").json["notifications"])
            while (block := one.until("notification")).json["message"] != "last":
                got[block.id] += 1
            assert got == Counter(sent)


def test_device_that_reconnects_gets_what_it_missed_and_one_that_cannot_gets_the_unread(server: Server) -> None:
    first, second = notify(server, "dan", "1"), notify(server, "dan", "2")
    with device(server, "dan", last_event_id=first) as resumed:
        assert [(block.type, block.position) for block in resumed.take(2)][1] == ("notification", second)
    with device(server, "dan", last_event_id="1-0-00000000") as lost:
        blocks = lost.take(3)
        assert [block.type for block in blocks] == ["gap", "connected", "unread"]
        assert [one["message"] for one in blocks[2].json["notifications"]] == ["2", "1"], (
            "the log knows nothing of them"
        )


def test_notices_reach_all_listeners(server: Server) -> None:
    with device(server, "eve") as one, SSEClient(server.port, "/api/v1/stream?channel=news") as other:
        for client in (one, other):
            client.until("connected")
        notice = {"type": "warning", "message": "Maintenance in 30 minutes"}
        position = call(server, "POST", "/notices", notice, BEARER, 201)["position"]
        for client in (one, other):
            block = client.until("notice")
            assert (block.position, block.json) == (position, {**notice, "time": block.json["time"]})
        call(server, "POST", "/notices", notice, token("ann", publish=["*"]), 403)
        call(server, "POST", "/notices", notice, token("ann", publish=["all"]), 201)


def test_a_ticket_lets_an_eventsource_in(server: Server) -> None:
    ticket = call(server, "POST", "/tickets", {}, token("fay"), 201)["ticket"]
    with SSEClient(server.port, f"{STREAM}?ticket={ticket}") as client:
        notify(server, "fay", "hello")
        assert client.until("notification").json["message"] == "hello"


def test_rights_are_those_of_sending_to_a_user_and_no_user_reads_for_another(server: Server) -> None:
    body = {"user_id": "gil", "type": "info", "message": "x"}
    call(server, "POST", "/notify", body, {}, 401)
    for publish in ([], ["*"], ["user:bob"], ["notifications:*"]):
        call(server, "POST", "/notify", body, token("ann", publish=publish), 403)
    position = notify(server, "gil", "x", headers=token("ann", publish=["user:gil"]))
    for path, method in (("", "GET"), ("/unread", "GET"), (f"/{position}/read", "POST")):
        call(server, method, f"/notifications{path}", headers={}, status=401)
        answer = call(server, method, f"/notifications{path}", headers=BEARER, status=403)
        assert answer["error"]["code"] == "no_user"
    call(server, "POST", f"/notifications/{position}/read", headers=token("ann"), status=404)
    channel = rows(server, "SELECT count(*) FROM notification WHERE read_ms IS NULL AND user_id = 'gil'")
    assert channel == [(1,)]


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": "hal", "type": "info"},
        {"user_id": "hal", "type": "alert", "message": "x"},
        {"user_id": "hal", "type": "info", "message": ""},
        {"user_id": "hal", "type": "info", "message": "x" * 1001},
        {"user_id": "hal", "type": "info", "message": "half \ud800"},
        {"user_id": "hal", "type": "info", "message": "\0"},
        {"user_id": "hal", "type": "info", "message": 7},
        {"user_id": "hal", "type": "info", "message": "x", "to": "all"},
        {"user_id": "", "type": "info", "message": "x"},
        {"user_id": "h" * 129, "type": "info", "message": "x"},
        {"user_id": "hal\nann", "type": "info", "message": "x"},
        {"user_id": 7, "type": "info", "message": "x"},
        [],
        None,
    ],
)
def test_bad_notification_is_refused_and_not_stored(server: Server, body: Any) -> None:
    answer = call(server, "POST", "/notify", body, BEARER, 400)
    assert answer["error"]["code"] in ("invalid_notification", "not_json")
    assert unread(server, "hal")["count"] == 0


@pytest.mark.parametrize("query", ["before=-1", "before=x", "before=99999999999999999999", "limit=0", "limit=101"])
def test_bad_page_is_refused(server: Server, query: str) -> None:
    call(server, "GET", f"/notifications/unread?{query}", headers=token("hal"), status=400)


@pytest.mark.parametrize("position", ["x", "%00", "1-0-00000000", "9" * 400, "-1"])
def test_what_is_no_notification_can_not_be_read(server: Server, position: str) -> None:
    answer = call(server, "POST", f"/notifications/{position}/read", headers=token("hal"), status=404)
    assert answer["error"]["code"] == "no_such_notification"


def test_a_key_makes_two_notifications_one(server: Server) -> None:
    key = {"Idempotency-Key": "7"}
    first, second = (notify(server, "ida", "once", headers=BEARER | key) for _ in range(2))
    other = notify(server, "ida", "once", headers=token("ann", publish=["user:*"]) | key)
    assert first == second != other, "a key counts for its sender alone"
    body = {"user_id": "ida", "type": "info", "message": "changed"}
    assert call(server, "POST", "/notify", body, BEARER | key, 409)["error"]["code"] == "idempotency_conflict"
    assert unread(server, "ida")["count"] == 2


def test_the_last_notification_that_fits_can_be_repeated_with_its_key(server: Server) -> None:
    insert = "INSERT INTO notification (user_id, type, message, created_ms, key, position) VALUES ('lou', 'info', ?, 1, ?, ?)"
    for number in range(999):
        rows(server, insert, f"{number}", f"lou{number}", f"2-{number}-00000000")
    key = {"Idempotency-Key": "8"}
    assert notify(server, "lou", "the last", headers=BEARER | key) == notify(
        server, "lou", "the last", headers=BEARER | key
    )
    body = {"user_id": "lou", "type": "info", "message": "one more"}
    assert call(server, "POST", "/notify", body, BEARER, 409)["error"]["code"] == "too_many_unread"


def test_event_of_a_user_that_is_called_notification_is_none(server: Server) -> None:
    with device(server, "max") as one:
        one.until("unread")
        for type in ("notification", "notification-read", "note"):
            call(server, "POST", "/users/max/events", {"type": type, "data": {"message": "hand-made"}}, BEARER, 201)
        position = notify(server, "max", "real")
        note, real = one.take(2)
        assert (note.type, real.type, real.id) == ("note", "notification", position)


def test_what_a_killed_worker_has_stored_and_not_published_comes_once(server: Server) -> None:
    insert = "INSERT INTO notification (user_id, type, message, created_ms, key) VALUES (?, 'info', ?, 1, ?)"
    with device(server, "jon") as early:
        early.until("unread")
        rows(server, insert, "jon", "left", "jon-1")
        with device(server, "jon") as late:
            begin, live = late.until("unread"), early.until("notification")
            assert begin.json["notifications"] == [], "it follows on the stream"
            assert late.until("notification").id == live.id
        rows(server, insert, "jon", "left again", "jon-2")
        last = notify(server, "jon", "last")
        assert [block.json["message"] for block in early.take(2)] == ["left again", "last"]
    waiting = unread(server, "jon")
    assert (waiting["count"], waiting["notifications"][0]["position"]) == (3, last)


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_nothing_is_stored_while_the_log_takes_nothing(server: Server) -> None:
    with turn_to_write(server.folder.parent / "log.db"):
        body = {"user_id": "mia", "type": "info", "message": "x"}
        assert call(server, "POST", "/notify", body, BEARER, 503)["error"]["code"] == "broker_unavailable"
        assert unread(server, "mia")["count"] == 0
    with device(server, "mia") as one:
        notify(server, "mia", "y")
        assert one.until("notification").json["message"] == "y"


def test_rows_have_a_bound_and_those_that_were_read_long_ago_go(server: Server) -> None:
    now_ms = time.time_ns() // 1_000_000
    insert = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO notification "
        "(user_id, type, message, created_ms, key, position, read_ms) SELECT ?, 'info', i, 1, ? || i, ? || i, ? FROM n"
    )
    rows(server, insert, 1000, "kim", "kim", "1-1-", None)
    rows(server, insert, 3, "leo", "new", "1-2-", now_ms - 29 * DAY_MS)
    rows(server, insert, 3, "leo", "old", "1-3-", now_ms - 31 * DAY_MS)
    body = {"user_id": "kim", "type": "info", "message": "too many"}
    assert call(server, "POST", "/notify", body, BEARER, 409)["error"]["code"] == "too_many_unread"
    found, page = [], unread(server, "kim", "?limit=100")
    while page["next"] is not None:
        found += page["notifications"]
        page = unread(server, "kim", f"?limit=100&before={page['next']}")
    found += page["notifications"]
    assert [int(one["message"]) for one in found] == list(range(1000, 0, -1))
    assert rows(server, "SELECT key FROM notification WHERE user_id = 'leo'") == [("new1",), ("new2",), ("new3",)]
    assert json.dumps(page)  # the last page is a page like others
