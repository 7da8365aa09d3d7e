"""Tasks over two workers, by HTTP alone: progress, results, cancels, refusals; and the files that they leave, which are none."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import random
import select
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, token
from tests.tools.serving import BEARER, Server, serve, wait_until

MOST_BYTES = 8 << 20
MOST_TASKS = 3
RIGHTS = {"publish": ["tasks"]}
ANN, BOB = token("ann", **RIGHTS), token("bob", **RIGHTS)
LONG = {"kind": "checksum", "options": {"bytes": 8 << 30}}
BOUNDARY = "3c1f9a"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

server = server_fixture(
    on=("sqlite", "redis"),
    workers=2,
    jwt_key=JWT_KEY,
    max_upload_bytes=MOST_BYTES,
    max_task_bytes=2 * MOST_BYTES,
    max_runs_per_user=MOST_TASKS,
)


def form(file: bytes | None = None, **fields: str) -> bytes:
    """A body of multipart/form-data."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in fields.items()]
    if file is not None:
        parts.append(b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + file)
    line = f"--{BOUNDARY}".encode()
    return b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def start(server: Server, body: Any, headers: dict[str, str] = ANN, status: int = 202) -> Any:
    return call(server, "POST", "/process", body, headers | (FORM if isinstance(body, bytes) else {}), status)


def watch(server: Server, id: str, **options: Any) -> SSEClient:
    return SSEClient(server.port, f"/api/v1/process/{id}/progress", headers=ANN, timeout=40, **options)


def finish(server: Server, id: str) -> tuple[str, Any]:
    """Wait for the end of a task; the type and the data of its last event."""
    with watch(server, id) as client:
        *_, last, closed = client.rest()
    assert closed.json == {"reason": "finished", "reconnect": False}
    return last.type, last.json


def left(server: Server) -> list[Path]:
    """The folders of all tasks."""
    folder = server.folder / "instance" / "tasks"
    return list(folder.iterdir()) if folder.exists() else []


def children(server: Server) -> list[psutil.Process]:
    """The processes that work: not the trackers of semaphores beside them."""
    found = itertools.chain.from_iterable(psutil.Process(pid).children() for pid in server.workers)
    return [child for child in found if any("spawn_main" in word for word in child.cmdline())]


def is_busy(server: Server) -> bool:
    """Whether any child works now."""
    before = sum(sum(child.cpu_times()[:2]) for child in children(server))
    time.sleep(0.3)  # the length of a measurement
    return sum(sum(child.cpu_times()[:2]) for child in children(server)) - before > 0.02


def test_progress_never_goes_back_and_all_who_watch_get_the_same_end(server: Server) -> None:
    size = 150_000_000
    task = start(server, {"kind": "checksum", "options": {"algorithm": "sha512", "bytes": size}})
    id = task["task_id"]
    assert (task["status"], task["progress"]) == ("running", 0)
    with watch(server, id) as one, watch(server, id) as other:
        first = one.until("progress")
        with watch(server, id) as late:
            assert late.until("progress").json["progress"] >= first.json["progress"], "the latest state, at once"
        seen = [first, *one.rest()]
        ended = other.rest()
    percents = [block.json["progress"] for block in seen if block.type == "progress"]
    assert percents == sorted(set(percents)), "it never goes back"
    assert percents[-1] == 100
    assert all(block.json["message"] for block in seen if block.type == "progress")
    digest = hashlib.sha512((bytes(range(256)) * (size // 256 + 1))[:size]).hexdigest()
    result = {"algorithm": "sha512", "bytes": size, "digest": digest}
    assert [block.type for block in seen[-2:]] == ["complete", "closed"]
    assert seen[-2].json == ended[-2].json == {"task_id": id, "result": result}
    state = call(server, "GET", f"/process/{id}", headers=ANN)
    assert (state["status"], state["progress"], state["result"]) == ("complete", 100, result)
    assert call(server, "GET", f"/process/{id}/result", headers=ANN) == result
    with watch(server, id) as afterwards:
        assert [block.type for block in afterwards.rest()] == ["connected", "complete", "closed"]
    for child in children(server):
        assert child.nice() == 19
        assert "gevent" not in Path(f"/proc/{child.pid}/maps").read_text(), "not patched, and nothing of the service"
    assert left(server) == []


def test_one_stream_has_all_tasks_of_a_user_and_resumes_in_the_middle(server: Server) -> None:
    ended = start(server, {"kind": "checksum", "options": {"bytes": 1000}})["task_id"]
    finish(server, ended)
    long = start(server, LONG)["task_id"]

    def all_tasks(who: dict[str, str], **options: Any) -> SSEClient:
        return SSEClient(server.port, "/api/v1/process/stream", headers=who, timeout=40, **options)

    with all_tasks(ANN) as stream, all_tasks(BOB) as of_bob:
        states = {state["task_id"]: state["status"] for state in stream.until("tasks").json}
        assert (states[ended], states[long]) == ("complete", "running")
        assert of_bob.until("tasks").json == []
        seen = stream.until("progress")
    assert seen.id.endswith(f"/run:{long}")
    call(server, "DELETE", f"/process/{long}", headers=ANN)
    with all_tasks(ANN, last_event_id=seen.id) as stream:
        types = set()
        while (block := stream.take(1)[0]).type != "cancelled":
            types.add(block.type)
        assert block.id.endswith(f"/run:{long}")
        assert types <= {"connected", "progress"}, "no states: it has them"


def test_uploaded_file_is_compressed_and_only_its_user_gets_it(server: Server) -> None:
    data = random.Random(1).randbytes(2 << 20) + bytes(2 << 20)
    id = start(server, form(data, kind="compress", options='{"level": 9}'))["task_id"]
    type, ended = finish(server, id)
    assert (type, ended["result"]["bytes"]) == ("complete", len(data))
    status, headers, body = server.request("GET", f"/api/v1/process/{id}/result", headers=ANN)
    assert (status, headers["content-type"]) == (200, "application/gzip")
    assert headers["cache-control"] == "no-store", "as each answer of the API"
    assert gzip.decompress(body) == data
    assert len(body) == ended["result"]["compressed_bytes"]
    (folder,) = left(server)
    assert [file.name for file in folder.iterdir()] == ["output"], "the upload is gone"
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "output")] == ["0o700", "0o600"]
    assert call(server, "DELETE", f"/process/{id}", headers=ANN)["status"] == "complete", "it had ended"
    assert left(server) == []
    assert call(server, "GET", f"/process/{id}/result", headers=ANN, status=404)["error"]["code"] == "result_gone"


def test_words_of_a_text_are_counted_across_chunks(server: Server) -> None:
    words = random.Random(2).choices(["näive", "a", "über", "終わり", "x" * 500], k=20_000)
    text = "\n".join(words)
    type, ended = finish(server, start(server, form(text.encode(), kind="wordcount", options='{"top": 5}'))["task_id"])
    assert type == "complete"
    result = ended["result"]
    assert {one["word"]: one["count"] for one in result["top"]} == Counter(words)
    del result["top"]
    assert result == {"lines": len(words) - 1, "words": len(words), "characters": len(text), "different": 5}
    long = " ".join(f"{number:03}\x01" * 1000 for number in range(100))
    type, ended = finish(
        server, start(server, form(long.encode(), kind="wordcount", options='{"top": 100}'))["task_id"]
    )
    assert (type, ended["result"]["different"]) == ("complete", 100)
    assert {len(one["word"]) for one in ended["result"]["top"]} == {100}, "cut, so that they fit into an event"
    type, ended = finish(server, start(server, form(b"\xff\xfe", kind="wordcount"))["task_id"])
    assert (type, ended["code"]) == ("failed", "not_text")
    assert left(server) == []


def test_cancel_takes_effect_within_a_second_and_stops_the_child_too(server: Server) -> None:
    id = start(server, LONG)["task_id"]
    with watch(server, id) as client:
        wait_until(lambda: client.until("progress").json["progress"] > 0, 20, "the child to work")
        began = time.monotonic()
        call(server, "DELETE", f"/process/{id}", headers=ANN)
        *_, last, _ = client.rest()
    assert last.type == "cancelled"
    assert last.at - began < 1
    wait_until(lambda: not is_busy(server), 5, "the child to stop")
    assert call(server, "GET", f"/process/{id}", headers=ANN)["status"] == "cancelled"
    assert call(server, "GET", f"/process/{id}/result", headers=ANN, status=409)["error"]["code"] == "no_result"
    assert call(server, "DELETE", f"/process/{id}", headers=ANN)["status"] == "cancelled"
    assert left(server) == []


def test_second_start_with_the_same_key_joins_the_first(server: Server) -> None:
    key = {"Idempotency-Key": f"click-{random.random()}"}
    body = form(b"some text", kind="wordcount")
    ids = {start(server, body, ANN | key)["task_id"] for _ in range(4)}
    assert len(ids) == 1
    assert start(server, body, BOB | key)["task_id"] not in ids, "a key is one user's"
    refused = start(server, form(b"some text", kind="compress"), ANN | key, 409)
    assert refused["error"]["code"] == "idempotency_conflict"
    long = {"Idempotency-Key": "x" * 129}
    assert start(server, body, ANN | long, 400)["error"]["code"] == "idempotency_key"
    finish(server, ids.pop())
    wait_until(lambda: not left(server), 5, "Bob's to end")


def test_tasks_of_others_do_not_exist_and_the_publish_key_sees_all(server: Server) -> None:
    carl = token("carl", **RIGHTS)
    ids = [start(server, {"kind": "checksum", "options": {"bytes": n}}, carl)["task_id"] for n in (1, 2, 3)]
    listed = call(server, "GET", "/process", headers=carl)["tasks"]
    assert [task["task_id"] for task in listed] == sorted(ids)
    pages = [
        call(server, "GET", f"/process?limit=2&after={after}", headers=carl)["tasks"] for after in ("", sorted(ids)[1])
    ]
    assert [task["task_id"] for page in pages for task in page] == sorted(ids)
    for method, path in (("GET", ""), ("GET", "/progress"), ("GET", "/result"), ("DELETE", "")):
        answer = call(server, method, f"/process/{ids[0]}{path}", headers=BOB, status=404)
        assert answer["error"]["code"] == "no_such_task"
    assert not set(ids) & {task["task_id"] for task in call(server, "GET", "/process", headers=BOB)["tasks"]}
    assert set(ids) <= {task["task_id"] for task in call(server, "GET", "/process")["tasks"]}
    assert call(server, "GET", f"/process/{ids[0]}")["kind"] == "checksum"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (token("dan"), 403), (token("dan", publish=["task"]), 403), (token(publish=["tasks"]), 403)],
    ids=["nobody", "no right", "another right", "no user"],
)
def test_start_needs_a_user_with_the_right(server: Server, headers: dict[str, str], status: int) -> None:
    start(server, LONG, headers, status)


def test_user_with_too_many_tasks_is_refused(server: Server) -> None:
    eve = token("eve", **RIGHTS)
    # Each worker counts its own.
    answers = [server.request("POST", "/api/v1/process", LONG, eve) for _ in range(2 * MOST_TASKS + 1)]
    started, refused = ([json.loads(text) for status, _, text in answers if status == n] for n in (202, 429))
    assert len(started) + len(refused) == len(answers)
    assert {answer["error"]["code"] for answer in refused} == {"too_many_runs"}
    ids = [task["task_id"] for task in started]
    for id in ids:
        call(server, "DELETE", f"/process/{id}", headers=eve)
    wait_until(lambda: not left(server), 5, "the folders to be gone")


BAD = [
    ({"kind": "mine"}, "invalid_task"),
    ({"kind": 1}, "invalid_task"),
    ({}, "invalid_task"),
    ([], "invalid_task"),
    ({"kind": "checksum"}, "invalid_task"),
    ({"kind": "checksum", "options": {"bytes": -1}}, "invalid_task"),
    ({"kind": "checksum", "options": {"bytes": 1 << 40}}, "invalid_task"),
    ({"kind": "checksum", "options": {"bytes": "1"}}, "invalid_task"),
    ({"kind": "checksum", "options": {"bytes": 1, "algorithm": "crc"}}, "invalid_task"),
    ({"kind": "checksum", "options": {"bytes": 1, "more": 1}}, "invalid_task"),
    ({"kind": "checksum", "options": [], "bytes": 1}, "invalid_task"),
    ({"kind": "compress", "options": {"level": 5}}, "invalid_task"),
    (form(b"x", kind="compress", options='{"level": 10}'), "invalid_task"),
    (form(b"x", kind="compress", options='{"level": NaN}'), "not_json"),
    (form(b"x", kind="compress", options='{"\\ud800": 1}'), "invalid_task"),
    (form(b"x", kind="compress", more="x"), "invalid_task"),
    (form(b"x", kind="wordcount").replace(b"wordcount", b"\xff"), "invalid_task"),
    (form(b"x", options="{}"), "invalid_task"),
    (form(b"x", kind="checksum", options='{"bytes": 5}'), "invalid_task"),
    (form(kind="wordcount"), "invalid_task"),
    (form(b"x", kind="wordcount").replace(b'; filename="x"', b""), "bad_form"),
    (form(b"x", kind="wordcount").replace(b'"kind"', b'"kind"; filename="y"'), "bad_form"),
    (form(b"x", kind="wordcount")[:-5], "bad_form"),
    (b"", "bad_form"),
    (b"\x00" * 1000, "bad_form"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
def test_bad_input_starts_nothing_and_stores_nothing(server: Server, body: Any, code: str) -> None:
    before = call(server, "GET", "/process", headers=BOB)["tasks"]
    assert start(server, body, BOB, 400)["error"]["code"] == code
    assert call(server, "GET", "/process", headers=BOB)["tasks"] == before
    wait_until(lambda: not left(server), 5, "what came of it to be removed")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_file_over_the_limit_is_refused_while_it_is_read(server: Server, framing: str) -> None:
    """The client has sent a little more than the limit, and waits: the rest of the body never comes."""
    length = "Content-Length: 1000000000" if framing == "length" else "Transfer-Encoding: chunked"
    lines = ["POST /api/v1/process HTTP/1.1", "Host: x", length, *(f"{k}: {v}" for k, v in (BOB | FORM).items())]
    piece = form(bytes(MOST_BYTES + (1 << 20)), kind="compress")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        if framing == "chunked":
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    wait_until(lambda: not left(server), 5, "what came of it to be removed")


def test_uploads_that_come_together_keep_to_the_space_of_all(server: Server) -> None:
    """Each has sent no byte of its file when it is looked whether there is room for it."""
    wait_until(lambda: not left(server), 5, "the space to be free")
    body = form(bytes(MOST_BYTES - 1000), kind="compress")
    lines = ["POST /api/v1/process HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{k}: {v}" for k, v in (BOB | FORM).items()), "", ""]).encode()
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10)) for _ in range(5)]
        for connection in opened:
            connection.sendall(head + body[:200])
        wait_until(lambda: len(select.select(opened, [], [], 0)[0]) >= 3, 10, "all but two to be refused")
        assert {one.recv(12)[9:] for one in select.select(opened, [], [], 0)[0]} == {b"503"}
    wait_until(lambda: not left(server), 10, "what came of it to be removed")


def test_child_that_is_killed_ends_its_task_and_another_takes_its_place(server: Server) -> None:
    id = start(server, LONG)["task_id"]
    with watch(server, id) as client:
        wait_until(lambda: client.until("progress").json["progress"] > 0, 20, "the child to work")
        killed = children(server)
        for child in killed:
            os.kill(child.pid, signal.SIGKILL)
        *_, last, _ = client.rest()
    assert (last.type, last.json["code"]) == ("failed", "process_lost")
    wait_until(lambda: not any(child.is_running() for child in killed), 10, "both workers to notice")
    for _ in range(4):  # in both workers
        assert finish(server, start(server, {"kind": "checksum", "options": {"bytes": 1}})["task_id"])[0] == "complete"


def test_ticket_lets_an_eventsource_watch(server: Server) -> None:
    id = start(server, {"kind": "checksum", "options": {"bytes": 1}})["task_id"]
    ticket = call(server, "POST", "/tickets", {}, ANN, 201)["ticket"]
    with SSEClient(server.port, f"/api/v1/process/{id}/progress?ticket={ticket}") as client:
        assert client.rest()[-2].type == "complete"
    assert server.request("GET", f"/api/v1/process/{id}/progress")[0] == 401


def test_nothing_of_all_this_was_an_error_of_the_service(server: Server) -> None:
    call(server, "GET", "/process", headers=BEARER)
    assert "Traceback" not in server.log


def test_folder_that_cannot_be_made_is_a_503_and_space_has_an_end(tmp_path: Path) -> None:
    """And a worker ends at once, even if its child gets no processor to end by itself."""
    (tmp_path / "file").touch()
    with serve(tmp_path, tasks_folder="file/tasks", jwt_key=JWT_KEY) as broken:
        assert start(broken, LONG, status=503)["error"]["code"] == "tasks_folder"
    with serve(tmp_path, max_task_bytes=1000, jwt_key=JWT_KEY) as small:
        assert start(small, form(bytes(1000), kind="compress"), status=503)["error"]["code"] == "no_room"
        assert finish(small, start(small, form(b"x", kind="compress"))["task_id"])[0] == "complete"
        assert "Traceback" not in small.log
        for child in children(small):
            child.suspend()
        began = time.monotonic()
    assert time.monotonic() - began < 10


def test_worker_that_takes_long_to_say_goodbye_ends_its_children_and_itself(tmp_path: Path) -> None:
    """gunicorn leaves twice: by its loop, which sees within a second that the worker stops, and after the goodbye."""
    with serve(tmp_path, jwt_key=JWT_KEY, drain_seconds=1.5) as server:
        with SSEClient(server.port, "/api/v1/stream?channel=a", receive_buffer=4096) as stuck:
            stuck.until("connected")
            start(server, LONG)
            wait_until(lambda: children(server), 10, "the child")
            for _ in range(4):
                server.publish("a", *["x" * 60_000] * 15)
            began = time.monotonic()
            server.quit()
            assert time.monotonic() - began < 10
        assert "Traceback" not in server.log
