"""A StreamWorker answers hot requests itself, keeps every promise in doing so, and leaves all else to gunicorn and Flask. What a
client sees is the same with gunicorn's gevent worker, so these tests run on both."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.tools.caller import Caller, post
from tests.tools.clients import SSEClient
from tests.tools.flood import flooding, others_are_served
from tests.tools.inspection import count, inspect
from tests.tools.nginx import serve_nginx
from tests.tools.serving import BEARER, KEY, Server, serve, wait_until

STREAM_WORKER = "app.flask_simulcast.gunicorn.StreamWorker"
JWT_KEY = "j" * 32
STREAM = "/api/v1/stream?channel=a"
HOT_LINE = re.compile(r'"(GET|POST) (/\S+) HTTP/1.1" (\d+)')


@contextmanager
def serving(folder: Path, worker_class: str = STREAM_WORKER, **settings: object) -> Iterator[Server]:
    arguments = {"WORKER_CLASS": worker_class, "jwt_key": JWT_KEY, "ACCESS_LOG": "-", **settings}
    with serve(folder, app="tests.apps.inspected:app", **arguments) as server:  # type: ignore[arg-type]
        assert "No hot routes" not in server.log
        yield server


@pytest.fixture(scope="module", params=[STREAM_WORKER, "gevent"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"publish_rate": 50, "max_listeners_per_user": 2, "anonymous_channels": "a"}
    with serving(tmp_path_factory.mktemp("door"), request.param, **settings) as server:
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("door-alone"), broker_seconds=2) as server:
        yield server


def event(data: object, **more: object) -> bytes:
    return json.dumps({"channel": "a", "data": data, **more}).encode()


KEY_FIELD = f"Authorization: Bearer {KEY}"


def published(server: Server) -> int:
    return count(server, "events_published_total")


def test_the_answer_to_a_publish_is_the_one_of_the_view(server: Server) -> None:
    with Caller(server) as caller:
        hot = caller.ask(post(event(1), KEY_FIELD))
        cold = caller.ask(post(event(1), KEY_FIELD, "X-A: 1", "X-A: 2"))  # a field twice: gunicorn's
        again = caller.ask(post(event(2), KEY_FIELD))  # the connection came back to the door
    assert (hot[0], cold[0], again[0]) == (201, 201, 201)
    assert {**hot[1], "date": ""} == {**cold[1], "date": ""}
    assert re.sub(rb"\d+-\d+-\w+", b"", hot[2]) == re.sub(rb"\d+-\d+-\w+", b"", cold[2])
    assert int(inspect(server)["metrics"]["simulcast_events_published_total"]) >= 3
    assert HOT_LINE.findall(server.log)[-2:][0][0] == "POST"


def test_requests_of_one_connection_are_answered_in_their_order(server: Server) -> None:
    requests = [post(event(n), KEY_FIELD, *(["X_A: 1"] if n % 3 == 1 else [])) for n in (0, 2, 3, 5)]
    requests.insert(2, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with Caller(server) as caller:
        caller.socket.sendall(b"".join(requests))
        assert [caller.answer()[0] for _ in requests] == [201, 201, 200, 201, 201]


@pytest.mark.parametrize("size", [8_000, 16_000, 20_000, 40_000])
def test_a_request_behind_a_large_body_is_answered(server: Server, size: int) -> None:
    """The door has read both, and gives both to gunicorn, which reads the body to its end and no further."""
    large = post(event("x" * size, idempotency_key=f"large-{size}"), KEY_FIELD)
    with Caller(server) as caller:
        caller.socket.sendall(large + post(event("behind"), KEY_FIELD) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [caller.answer()[0] for _ in range(3)] == [201, 201, 200]


def test_a_body_that_comes_late_is_waited_for(server: Server) -> None:
    request = post(event("late"), KEY_FIELD)
    with Caller(server) as caller:
        for piece in (request[:-9], request[-9:-4], request[-4:]):
            caller.socket.sendall(piece)
            time.sleep(0.05)  # so that it is read in pieces
        assert caller.answer()[0] == 201
        caller.socket.sendall(request[:-4])
        time.sleep(1.5)  # longer than the door waits for a body: gunicorn has it now
        assert caller.ask(request[-4:])[0] == 201


@pytest.mark.parametrize(
    ("body", "fields", "status", "code"),
    [
        (event(1), [], 401, "no_grant"),
        (event(1), ["Authorization: Bearer wrong"], 401, "token_malformed"),
        (event(1)[:-1], [KEY_FIELD], 400, "not_json"),
        (b'{"channel":"user:bob","data":1}', [KEY_FIELD], 400, "channel_name"),
        (event(1, type="connected"), [KEY_FIELD], 400, "event_type"),
        (event(1), [KEY_FIELD, "Content-Encoding: gzip"], 415, "content_encoding"),
        (event(1), [KEY_FIELD, "Host: evil.example"], 400, None),
    ],
)
def test_what_is_refused_is_refused_by_flask(
    server: Server, body: bytes, fields: list[str], status: int, code: str | None
) -> None:
    before = published(server)
    with Caller(server) as caller:
        got, _, text = caller.ask(post(body, *fields))
        assert got == status, text
        assert code is None or json.loads(text)["error"]["code"] == code
    assert published(server) == before


def test_a_key_is_kept_and_a_token_has_its_rate_limit(server: Server) -> None:
    token = f"Authorization: Bearer {mint(JWT_KEY, seconds=600, user='fast', publish=['a'])}"
    with Caller(server) as caller:
        once, twice = (json.loads(caller.ask(post(event(1, idempotency_key="k"), KEY_FIELD))[2]) for _ in range(2))
        assert once == twice
        statuses = [caller.ask(post(b"[" + b",".join([event(1)] * 100) + b"]", token))[0] for _ in range(6)]
    assert statuses == [201] * 5 + [429], "50 a second, and ten seconds' worth at once"


def test_a_hot_stream_parks_and_gets_what_is_published(server: Server) -> None:
    before = inspect(server)["listeners"]
    with SSEClient(server.port, STREAM) as client:
        first = client.until("connected")
        assert client.headers["connection"] == "close"
        assert client.headers["x-content-type-options"] == "nosniff"
        wait_until(lambda: inspect(server)["parked"] == 1, 5, "it to park")
        server.publish("a", "bread")
        last = client.until("message")
        assert last.data == '"bread"'
    wait_until(lambda: inspect(server)["listeners"] == before, 5, "it to be gone")
    server.publish("a", "butter")
    with SSEClient(server.port, STREAM, last_event_id=last.id) as client:
        assert client.until("message").data == '"butter"'
    assert first.id != last.id


def test_a_request_that_was_answered_is_gone_without_a_garbage_collection(server: Server) -> None:
    inspect(server)  # which collects what there was
    with Caller(server) as caller, contextlib.ExitStack() as stack:
        for _ in range(5):
            assert caller.ask(post(event(1), KEY_FIELD))[0] == 201
            stack.enter_context(SSEClient(server.port, STREAM)).until("connected")
        assert server.get_json("/inspect/requests") == 0


def test_limits_of_a_user_and_refusals_are_those_of_the_view(server: Server) -> None:
    token = mint(JWT_KEY, seconds=600, user="bob", subscribe=["b"])
    headers = {"Authorization": f"Bearer {token}"}
    path = "/api/v1/stream?channel=b"
    refused = "simulcast_listeners_refused_total"
    before = {name: n for name, n in inspect(server)["metrics"].items() if name.startswith(refused)}
    with SSEClient(server.port, path, headers=headers) as one, SSEClient(server.port, path, headers=headers) as two:
        one.until("connected")
        two.until("connected")
        status, _, body = server.request("GET", path, headers={**headers, "Accept": "*/*"})
        assert (status, json.loads(body)["error"]["code"]) == (429, "too_many_listeners")
    after = {name: n for name, n in inspect(server)["metrics"].items() if name.startswith(refused)}
    assert sum(after.values()) == sum(before.values()) + 1, "refused once, counted once"
    assert server.request("GET", "/api/v1/stream?channel=c", headers=headers)[0] == 403


def test_an_idle_connection_is_closed_after_the_keepalive(server: Server) -> None:
    with Caller(server) as silent, Caller(server) as kept:
        assert kept.ask(post(event(1), KEY_FIELD))[0] == 201
        began = time.monotonic()
        assert silent.has_ended()
        assert kept.has_ended()
        assert 1 < time.monotonic() - began < 5


def test_connections_at_the_door_hold_no_greenlet_and_count_as_connections(tmp_path: Path) -> None:
    with serving(tmp_path, WORKER_CONNECTIONS=20, KEEPALIVE=30) as server:
        before = inspect(server)["greenlets"]
        callers = [Caller(server) for _ in range(18)]
        for caller in callers:
            assert caller.ask(post(event(1), KEY_FIELD))[0] == 201
        assert inspect(server)["greenlets"] <= before + 1
        callers += [Caller(server) for _ in range(4)]
        callers[-1].socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            callers[-1].ask(post(event(1), KEY_FIELD))
        for caller in callers[:10]:
            caller.socket.close()
        callers[-1].socket.settimeout(10)
        assert callers[-1].answer()[0] == 201
        for caller in callers:
            caller.socket.close()
        assert "Traceback" not in server.log


def test_a_client_that_sends_requests_without_an_end_holds_up_no_other(door: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with Caller(door) as caller, flooding(caller.socket, request * 500):
        assert others_are_served(lambda: door.request("GET", "/healthz")[0])


def test_a_body_that_the_app_does_not_read_holds_up_no_other(tmp_path: Path) -> None:
    with serve(tmp_path, app="tests.apps.plain:app", WORKER_CLASS=STREAM_WORKER) as server, Caller(server) as caller:
        small = b"GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        assert [caller.ask(small)[0] for _ in range(2)] == [200, 200]
        caller.socket.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with flooding(caller.socket, b"1\r\nx\r\n" * 10_000):
            assert others_are_served(lambda: server.request("GET", "/ping")[0])


def test_publishes_that_come_together_share_a_commit(door: Server) -> None:
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(Caller(door)) for _ in range(30)]
        for caller in callers:
            caller.socket.sendall(post(event("together"), KEY_FIELD))
        positions = [json.loads(caller.answer()[2])["positions"][0] for caller in callers]
        assert len(set(positions)) == len(callers)
        text = door.request("GET", "/metrics", headers=BEARER)[2].decode()
        lines = [line for line in text.splitlines() if line.startswith("simulcast_publish_seconds_count")]
        assert float(lines[0].split()[1]) < published(door)


def test_a_locked_log_stops_no_other_request_and_a_publish_fails_within_its_time(door: Server) -> None:
    before = published(door)
    with contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(Caller(door)) for _ in range(20)]
        other = stack.enter_context(Caller(door))
        with (door.folder / "instance" / "simulcast.db.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for publisher in publishers:
                publisher.socket.sendall(post(event("locked"), KEY_FIELD))
            for _ in range(3):
                assert other.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
            assert not any(publisher.has_answer() for publisher in publishers)  # so it was answered beside them
            assert {publisher.answer()[0] for publisher in publishers} == {503}
        assert publishers[0].ask(post(event("free"), KEY_FIELD))[0] == 201
    assert published(door) == before + 1


def test_a_worker_that_stops_tells_its_streams_and_answers_what_it_has(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with SSEClient(server.port, STREAM) as client, Caller(server) as caller:
            client.until("connected")
            assert caller.ask(post(event(1), KEY_FIELD))[0] == 201
            server.process.terminate()
            assert client.until("closed").json == {"reason": "draining", "reconnect": True}
            status, headers, _ = caller.ask(post(event(2), KEY_FIELD))
            assert (status, headers["connection"]) == (201, "close")
            assert caller.has_ended()


def test_max_requests_counts_hot_requests(tmp_path: Path) -> None:
    with serving(tmp_path, GUNICORN_CMD_ARGS="--max-requests 10") as server:
        first = server.workers
        with Caller(server) as caller:
            answers = [caller.ask(post(event(n), KEY_FIELD)) for n in range(8)]
            while answers[-1][1]["connection"] != "close":
                answers.append(caller.ask(post(event(1), KEY_FIELD)))
        assert len(answers) <= 10
        wait_until(lambda: server.workers and server.workers != first, 10, "another worker")


@pytest.mark.parametrize(
    "changes",
    [
        {"proxy_http_version 1.1;": "proxy_http_version 1.0;"},
        {"''      close;": "''      '';", "upstream simulcast {": "upstream simulcast { keepalive 4;"},
    ],
    ids=["1.0", "kept"],
)
def test_nginx_may_speak_an_older_version_to_it_or_keep_its_connections(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    path = tmp_path / "gunicorn.sock"
    with (
        serving(tmp_path / "service", bind=f"unix:{path}") as server,
        serve_nginx(tmp_path / "nginx", path, changes=changes) as nginx,
    ):
        with nginx.client() as client, client.stream("GET", STREAM, headers={"Accept": "text/event-stream"}) as stream:
            lines = stream.iter_lines()
            for number in range(20):
                nginx.publish("a", number)
            assert client.get("/healthz").status_code == 200
            got = list(itertools.islice(filter(re.compile("data: [0-9]").match, lines), 20))
        assert got == [f"data: {number}" for number in range(20)]
        assert "Traceback" not in server.log
