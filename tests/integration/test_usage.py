"""Usage, by HTTP alone, over two workers: once on the files of one machine, once on Redis and PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tools.clients import Block, SSEClient
from tests.tools.fleet import JWT_KEY, token
from tests.tools.postgres import connect_to, serve_postgres
from tests.tools.redis_server import serve_redis
from tests.tools.serving import BEARER, Server, serve

DAYS = 30
SETTINGS = {
    "workers": 2,
    "publish_rate": 0,
    "jwt_key": JWT_KEY,
    "heartbeat_seconds": 1,
    "usage_days": DAYS,
    "anonymous_channels": "",
}
_names = itertools.count()


class Service(NamedTuple):
    server: Server
    database: str


@pytest.fixture(scope="module", params=["files", "servers"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("usage")
    with contextlib.ExitStack() as stack:
        settings = dict(SETTINGS)
        database = f"sqlite:///{folder}/service/instance/service.db"
        if request.param == "servers":
            database = stack.enter_context(serve_postgres()).url()
            settings |= {"broker_url": stack.enter_context(serve_redis(folder / "redis")).url, "database_url": database}
        yield Service(stack.enter_context(serve(folder / "service", **settings)), database)


@pytest.fixture
def server(service: Service) -> Server:
    return service.server


@pytest.fixture
def model() -> str:
    """A name that no other test has."""
    return f"model-{next(_names)}"


def post(server: Server, body: Any, **headers: str) -> tuple[int, Any]:
    status, _, text = server.request("POST", "/api/v1/usage", body, BEARER | headers)
    return status, json.loads(text)


def record(server: Server, *records: dict[str, Any], **headers: str) -> list[int]:
    status, answer = post(server, list(records), **headers)
    assert status == 201, answer
    return list(answer["ids"])


def get(server: Server, query: str) -> Any:
    return server.get_json(f"/api/v1/usage{query}", BEARER)


def listed(server: Server, model: str, hours: object = 24) -> list[dict[str, Any]]:
    return list(get(server, f"?hours={hours}&model={model}")["usage"])


def watch(server: Server, hours: object = 1, **options: Any) -> SSEClient:
    return SSEClient(server.port, f"/api/v1/usage/stream?hours={hours}", headers=BEARER, **options)


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def until_model(client: SSEClient, model: str) -> list[dict[str, Any]]:
    """The records of this model in the first event that has one."""
    while True:
        block = client.until("usage")
        if found := [one for one in block.json if one["model"] == model]:
            return found


# Recording


@pytest.mark.parametrize("kind", ["one", "array", "lines"])
def test_records_are_stored_whichever_way_they_are_sent(server: Server, model: str, kind: str) -> None:
    one = {"creditsUsed": 12, "model": model}
    if kind == "one":
        status, answer = post(server, one)
    elif kind == "array":
        status, answer = post(server, [one])
    else:
        status, answer = post(server, json.dumps(one).encode() + b"\r\n\n", **{"Content-Type": "application/x-ndjson"})
    assert status == 201
    for _ in range(4):  # whichever worker answers
        (found,) = listed(server, model, 1)
        assert found | {"createdAt": ""} == {"id": answer["ids"][0], "creditsUsed": 12, "createdAt": "", "model": model}
        seconds = (datetime.now(UTC) - datetime.fromisoformat(found["createdAt"])).total_seconds()
        assert -1 < seconds < 60


def test_records_are_listed_in_the_order_of_their_times(server: Server, model: str) -> None:
    times = [ago(hours=hours) for hours in (3, 1.5, 20, 0)]
    ids = record(server, *({"creditsUsed": 1, "model": model, "createdAt": time} for time in times))
    assert [one["id"] for one in listed(server, model)] == [ids[2], ids[0], ids[1], ids[3]]
    assert [one["id"] for one in listed(server, model, 2)] == [ids[1], ids[3]]
    assert listed(server, model)[0]["createdAt"] == times[2][:23] + "Z"


def test_a_client_pages_back_from_a_record_that_it_has(server: Server, model: str) -> None:
    same = ago(minutes=9)  # the ids decide
    times = [ago(minutes=5), same, same, ago(minutes=7), same]
    ids = record(server, *({"creditsUsed": 1, "model": model, "createdAt": time} for time in times))
    in_order = [ids[n] for n in (1, 2, 4, 3, 0)]
    assert [row["id"] for row in listed(server, model)] == in_order

    def older(before: int) -> list[int]:
        answer = get(server, f"?hours=24&model={model}&before={before}&limit=2")
        return [row["id"] for row in answer["usage"]]

    assert older(ids[0]) == in_order[2:4]
    assert older(in_order[2]) == in_order[:2]
    assert older(in_order[0]) == older(2**62) == []


def test_a_request_that_is_repeated_stores_nothing(server: Server, model: str) -> None:
    key = {"Idempotency-Key": f"try-{model}"}
    records = [{"creditsUsed": number, "model": model} for number in range(3)]
    ids = record(server, *records, **key)
    assert record(server, *records, **key) == ids
    for other in (records[:2], [*records, records[0]], [*records[:2], records[0]]):
        status, answer = post(server, other, **key)
        assert (status, answer["error"]["code"]) == (409, "idempotency_conflict")
    assert [one["id"] for one in listed(server, model)] == ids


def test_a_request_that_comes_many_times_at_once_is_stored_once(server: Server, model: str) -> None:
    answers: list[tuple[int, Any]] = []

    def send() -> None:
        body = [{"creditsUsed": 1, "model": model}] * 2
        answers.append(post(server, body, **{"Idempotency-Key": f"race-{model}"}))

    threads = [threading.Thread(target=send) for _ in range(8)]
    with watch(server) as client:
        client.until("connected")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        record(server, {"creditsUsed": 9, "model": model})
        seen = []
        while 9 not in seen:
            seen += [one["creditsUsed"] for one in until_model(client, model)]
    ids = [one["id"] for one in listed(server, model)]
    assert len(ids) == 3
    assert answers == [(201, {"ids": ids[:2]})] * 8
    assert seen == [1, 1, 9]


GOOD = {"creditsUsed": 1, "model": "bad-input"}
BAD = [
    (b"{", 400, "not_json"),
    ([], 400, "no_records"),
    (1, 400, "invalid_usage"),
    ({}, 400, "invalid_usage"),
    (GOOD | {"creditsUsed": -1}, 400, "invalid_usage"),
    (GOOD | {"creditsUsed": 1.5}, 400, "invalid_usage"),
    (GOOD | {"creditsUsed": "1"}, 400, "invalid_usage"),
    (GOOD | {"creditsUsed": 10**30}, 400, "invalid_usage"),
    (GOOD | {"model": ""}, 400, "invalid_usage"),
    (GOOD | {"model": "x" * 65}, 400, "invalid_usage"),
    (GOOD | {"model": "a\0b"}, 400, "model"),
    (GOOD | {"model": "\ud800"}, 400, "model"),
    (GOOD | {"model": None}, 400, "invalid_usage"),
    (GOOD | {"other": 1}, 400, "invalid_usage"),
    (GOOD | {"createdAt": "0000-01-01T00:00:00Z"}, 400, "invalid_usage"),
    (GOOD | {"createdAt": "0001-01-01T00:00:00+23:59"}, 400, "created_at"),
    (GOOD | {"createdAt": "9999-12-31T23:59:59-23:59"}, 400, "created_at"),
    (GOOD | {"createdAt": "2026-01-02T03:04:05"}, 400, "invalid_usage"),
    (GOOD | {"createdAt": "yesterday"}, 400, "invalid_usage"),
    (GOOD | {"createdAt": ago(days=DAYS + 1)}, 400, "created_at"),
    (GOOD | {"createdAt": ago(hours=-1)}, 400, "created_at"),
    ([GOOD, GOOD | {"creditsUsed": -1}], 400, "invalid_usage"),
    ([GOOD] * 1001, 413, "too_many_records"),
    ([GOOD] * 100_000, 413, "request_entity_too_large"),
]


def test_bad_input_gets_a_clear_4xx_and_stores_nothing(server: Server) -> None:
    for body, status, code in BAD:
        answered, answer = post(server, body)
        shown = str(body)[:100]
        assert (answered, answer["error"]["code"]) == (status, code), shown
        assert answer["error"]["message"].count(". ") >= 1 or status == 413, shown
    assert listed(server, "bad-input") == []
    assert server.request("GET", "/api/v1/usage?model=%00", headers=BEARER)[0] == 400


def test_clients_need_a_grant(server: Server) -> None:
    def status(method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
        return server.request(method, f"/api/v1/usage{path}", body, headers)[0]

    reader, other = token("ann", subscribe=["usage"]), token("bob", subscribe=["news"], publish=["news"])
    for path in ("", "/summary"):
        assert [status("GET", path, headers) for headers in (reader, other)] == [200, 403]
    assert status("GET", "/stream", other | {"Last-Event-ID": "end"}) == 403
    assert [status("POST", "", headers, GOOD) for headers in ({}, reader, other)] == [401, 403, 403]


# Reading


def test_hours_are_read_as_the_document_says(server: Server, model: str) -> None:
    old, new = record(
        server, *({"creditsUsed": 1, "model": model, "createdAt": ago(minutes=minutes)} for minutes in (90, 30))
    )
    for text in ("1", "0", "-5", "x", "1.5", "", "%00", "9" * 5000):
        found = server.request("GET", f"/api/v1/usage?model={model}&hours={text}", headers=BEARER)
        assert found[0] == 200, text[:10]
        assert [one["id"] for one in json.loads(found[2])["usage"]] == [new], text[:10]
    assert [one["id"] for one in listed(server, model, DAYS * 24)] == [old, new]
    for path in ("", "/summary", "/stream"):
        status, _, body = server.request("GET", f"/api/v1/usage{path}?hours={DAYS * 24 + 1}", headers=BEARER)
        assert (status, json.loads(body)["error"]["code"]) == (400, "hours")
        assert f"for {DAYS * 24} hours" in json.loads(body)["error"]["message"]


def test_summaries_are_the_sums_of_what_is_listed(server: Server, model: str) -> None:
    times = [30, 90, 95, 600]
    records = [
        {"creditsUsed": 10**number, "model": model, "createdAt": ago(minutes=m)} for number, m in enumerate(times)
    ]
    record(server, *records, {"creditsUsed": 7, "model": f"{model}-other"})
    everything = get(server, "?hours=24")["usage"]
    by_model = get(server, "/summary?hours=24")
    by_hour = get(server, "/summary?hours=24&by=hour")
    assert (by_model["count"], by_model["creditsUsed"]) == (
        len(everything),
        sum(one["creditsUsed"] for one in everything),
    )
    assert {"model": model, "creditsUsed": 1111, "count": 4} in by_model["groups"]
    assert [one["creditsUsed"] for one in by_model["groups"]] == sorted(
        (one["creditsUsed"] for one in by_model["groups"]), reverse=True
    )
    sums: dict[str, int] = {}
    for one in everything:
        hour = one["createdAt"][:13] + ":00:00.000Z"
        sums[hour] = sums.get(hour, 0) + one["creditsUsed"]
    assert {one["hour"]: one["creditsUsed"] for one in by_hour["groups"]} == sums
    assert [one["hour"] for one in by_hour["groups"]] == sorted(sums)


# Streaming


def test_a_stream_begins_with_the_last_hours_and_goes_on_with_each_change(server: Server, model: str) -> None:
    old = {"creditsUsed": 1, "model": model, "createdAt": ago(hours=2)}
    record(server, old, {"creditsUsed": 2, "model": model})
    with watch(server, 1) as one, watch(server, 3) as three:
        assert [one.next().type, three.next().type] == ["connected"] * 2  # type: ignore[union-attr]
        assert [found["creditsUsed"] for found in until_model(one, model)] == [2]
        assert [found["creditsUsed"] for found in until_model(three, model)] == [1, 2]
        record(server, old | {"creditsUsed": 3})
        record(server, old | {"creditsUsed": 4}, {"creditsUsed": 5, "model": model})
        assert [found["creditsUsed"] for found in until_model(three, model)] == [3]
        assert [found["creditsUsed"] for found in until_model(three, model)] == [4, 5]
        assert [found["creditsUsed"] for found in until_model(one, model)] == [5]
        one.until("heartbeat")


def test_a_list_leaves_in_events_of_at_most_a_hundred(server: Server, model: str) -> None:
    with watch(server) as client:
        client.until("connected")
        ids = record(server, *({"creditsUsed": number, "model": model} for number in range(250)))
        live = [[one["id"] for one in until_model(client, model)] for _ in range(3)]
    assert [len(part) for part in live] == [100, 100, 50]
    assert list(itertools.chain(*live)) == ids
    with watch(server) as client:
        snapshot = []
        while not snapshot or ids[-1] not in snapshot[-1]:
            snapshot.append([one["id"] for one in client.until("usage").json])
    assert {len(part) for part in snapshot[:-1]} == {100}
    assert list(itertools.chain(*snapshot))[-250:] == ids


def test_a_client_that_reconnects_gets_what_it_missed(server: Server, model: str) -> None:
    with watch(server) as client:
        client.until("connected")
        record(server, {"creditsUsed": 1, "model": model})
        until_model(client, model)
        last_id = client.last_id
    record(server, {"creditsUsed": 2, "model": model})
    with watch(server, last_event_id=last_id) as client:
        blocks = client.take(2)
    assert [block.type for block in blocks] == ["connected", "usage"]
    assert [one["creditsUsed"] for one in blocks[1].json] == [2]


def test_what_others_publish_to_the_channel_ends_no_stream(server: Server, model: str) -> None:
    odd: list[Any] = [1, None, "x", {"a": 1}, [1], [{"createdAt": 1}], []]
    with watch(server) as client:
        client.until("heartbeat")
        server.publish("usage", *odd, type="usage")
        record(server, {"creditsUsed": 1, "model": model})
        blocks: list[Block] = client.take(len(odd) + 1, "usage")
    assert [block.json for block in blocks[:-1]] == odd
    assert blocks[-1].json[0]["model"] == model


# Many of them


def insert(service: Service, rows: list[tuple[int, str, int]]) -> None:
    """Write rows directly: ones that are too old can't be recorded."""
    statement = "INSERT INTO usage (credits_used, model, created_ms) VALUES ({0}, {0}, {0})"
    if service.database.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(service.database.removeprefix("sqlite:///"))) as connection:
            connection.executemany(statement.format("?"), rows)
            connection.commit()
    else:
        with connect_to(service.database) as connection, connection.cursor() as cursor:
            cursor.executemany(statement.format("%s"), rows)


def test_a_long_list_is_whole(service: Service, model: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    insert(service, [(number, model, now_ms - 5000 + number // 3) for number in range(3000)])
    assert [one["creditsUsed"] for one in listed(service.server, model)] == list(range(3000))


def test_records_that_are_too_old_go_in_small_deletes(service: Service, model: str) -> None:
    old_ms = time.time_ns() // 1_000_000 - (DAYS * 24 + 1) * 3_600_000
    insert(service, [(1, model, old_ms)] * 1200)

    def left() -> int:
        text = f"SELECT count(*) FROM usage WHERE model = '{model}'"
        if service.database.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(service.database.removeprefix("sqlite:///"))) as connection:
                return int(connection.execute(text).fetchone()[0])
        with connect_to(service.database) as connection:
            return int(connection.execute(text).fetchone()[0])  # type: ignore[arg-type,index]

    assert left() == 1200
    assert listed(service.server, model, DAYS * 24) == []
    counts = []
    for _ in range(3):
        record(service.server, {"creditsUsed": 1, "model": f"{model}-new"})
        counts.append(left())
    assert counts == [700, 200, 0]


def test_no_request_of_this_module_made_a_500(server: Server) -> None:
    assert "Traceback" not in server.log
