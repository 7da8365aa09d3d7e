"""Conversations over two workers, each behind a port of its own: on the files of one machine, and on Redis and PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.tools.clients import Block, SSEClient
from tests.tools.fleet import JWT_KEY, Fleet, fleet, token
from tests.tools.postgres import serve_postgres
from tests.tools.redis_server import serve_redis
from tests.tools.serving import Server, serve, wait_until

ASK, PATH = "/v1/chat/completions", "/api/v1/conversations"
LONG = " ".join(f"wörd{number}🌍" for number in range(120))
MODULES = "app.features.completions.conversations"
CONSTANTS = {
    "app.flask_simulcast.hub.runner._LEASE_SECONDS": 2,
    f"{MODULES}.service._MOST_CHARACTERS": 5000,
    f"{MODULES}.service._MOST_WAITING": 2,
    f"{MODULES}.schemas.MOST_CONVERSATIONS": 3,
    f"{MODULES}.sweeper.PERIOD_SECONDS": 0.5,
}
_users = itertools.count()


@pytest.fixture(scope="module", params=["files", "servers"])
def workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("conversations")
    store = {"database_url": f"sqlite:///{folder}/service.db"}
    with contextlib.ExitStack() as stack:
        if request.param == "servers":
            store["database_url"] = stack.enter_context(serve_postgres()).url()
            store["broker_url"] = stack.enter_context(serve_redis(folder / "redis")).url
        settings = {"completions_anonymous": "true", "constants": CONSTANTS, **store}
        yield stack.enter_context(fleet(folder, "wsgi:app", **settings))


@pytest.fixture
def user() -> dict[str, str]:
    """The header of a user that no other test has."""
    return token(f"user{next(_users)}", publish=["completions"])


def ask(server: Server, user: dict[str, str], text: str, id: str = "trip", **fields: Any) -> tuple[int, Any]:
    question = {"model": "echo", "conversation": id, "messages": [{"role": "user", "content": text}], **fields}
    status, _, body = server.request("POST", ASK, question, user)
    return status, json.loads(body)


def listen(server: Server, user: dict[str, str], id: str = "trip", **options: Any) -> SSEClient:
    client = SSEClient(server.port, f"{PATH}/{id}/stream", headers=user, timeout=30, **options)
    assert client.status == 200
    return client


def listen_soon(server: Server, user: dict[str, str]) -> SSEClient:
    """Listen once the first prompt has made the conversation."""
    wait_until(lambda: server.request("GET", f"{PATH}/trip", headers=user)[0] == 200, 5, "the conversation")
    return listen(server, user)


def asking(server: Server, user: dict[str, str], text: str = LONG) -> contextlib.AbstractContextManager[httpx.Response]:
    """Ask for a stream, of which only the head is read."""
    asked = [{"role": "user", "content": text}]
    question = {"model": "echo", "conversation": "trip", "messages": asked, "stream": True}
    return httpx.stream("POST", f"http://127.0.0.1:{server.port}{ASK}", json=question, headers=user, trust_env=False)


def begin(workers: Fleet, user: dict[str, str], text: str) -> None:
    """Say this first, and wait until the answer is kept, so that no event of it is to come."""
    assert ask(workers.one, user, text)[0] == 200
    wait_until(lambda: "pieces" not in workers.two.get_json(f"{PATH}/trip", user)["turns"][0], 5, "it to be kept")


class Asking:
    """A device that asks, and reads its answer as it comes."""

    def __init__(self, server: Server, user: dict[str, str], text: str, **fields: Any) -> None:
        self.status, self.answer = 0, None
        self._thread = threading.Thread(target=self._run, args=(server, user, text, fields))

    def _run(self, server: Server, user: dict[str, str], text: str, fields: dict[str, Any]) -> None:
        self.status, self.answer = ask(server, user, text, **fields)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()


class Device:
    """What a page does with the events: as the example of the documentation."""

    def __init__(self, conversation: dict[str, Any]) -> None:
        self.turns = {turn["id"]: turn for turn in conversation["turns"]}

    def take(self, event: Block) -> None:
        if event.type == "conversation":
            self.turns = {turn["id"]: turn for turn in event.json["turns"]}
        if event.type == "prompt":
            self.turns.setdefault(event.json["id"], {**event.json, "status": "waiting", "answer": None, "pieces": 0})
        if event.type == "pieces":
            turn = self.turns[event.json["id"]]
            turn["answer"] = turn["answer"] or {"role": "assistant", "content": ""}
            for number, text in enumerate(event.json["texts"], event.json["first"]):
                if number == turn["pieces"]:
                    turn["answer"]["content"] += text
                    turn["pieces"] += 1
        if event.type == "ended":
            self.turns[event.json["id"]]["status"] = event.json["status"]

    def said(self) -> list[tuple[str, str | None, str]]:
        turns = self.turns.values()
        return [(t["messages"][0]["content"], t["answer"] and t["answer"]["content"], t["status"]) for t in turns]


def test_second_device_sees_all_and_goes_on_live(workers: Fleet, user: dict[str, str]) -> None:
    begin(workers, user, "Hello")
    with Asking(workers.one, user, LONG), listen(workers.two, user) as from_prompt:
        first = Device({"turns": []})
        while not first.turns or first.said()[-1][0] != LONG or not first.said()[-1][1]:
            first.take(from_prompt.next() or pytest.fail("the stream ended"))
        read = workers.two.get_json(f"{PATH}/trip", user)
        assert [turn["status"] for turn in read["turns"]] == ["complete", "running"]
        assert 0 < len(read["turns"][1]["answer"]["content"]) < len(LONG)
        second = Device(read)
        with listen(workers.one, user, last_event_id=read["position"]) as from_middle:
            for device, client in ((first, from_prompt), (second, from_middle)):
                while not all(status == "complete" for *_, status in device.said()):
                    device.take(client.next() or pytest.fail("the stream ended"))
    expected = [("Hello", "Hello", "complete"), (LONG, LONG, "complete")]
    assert first.said() == second.said() == expected
    assert Device(workers.one.get_json(f"{PATH}/trip", user)).said() == expected
    (listed,) = workers.two.get_json(PATH, user)["conversations"]
    assert (listed["id"], listed["title"]) == ("trip", "Hello")


def test_history_is_put_before_the_prompt(workers: Fleet, user: dict[str, str]) -> None:
    assert ask(workers.one, user, "one two")[1]["usage"]["prompt_tokens"] == 2
    assert ask(workers.two, user, "three")[1]["usage"]["prompt_tokens"] == 2 + 2 + 1


def test_prompts_at_once_are_answered_in_order_or_refused(workers: Fleet, user: dict[str, str]) -> None:
    begin(workers, user, "zero")
    with listen(workers.two, user) as device:
        with Asking(workers.one, user, LONG) as first:
            device.until("pieces")
            with Asking(workers.two, user, "second", when_busy="wait") as second:
                device.until("prompt")
                refused, error = ask(workers.two, user, "no", when_busy="refuse")
                assert (refused, error["error"]["code"]) == (409, "conversation_busy")
                with asking(workers.one, user, "third") as third:
                    assert (third.status_code, first.status) == (200, 0), "its stream begins while it waits"
                    device.until("prompt")
                    assert ask(workers.one, user, "too many")[1]["error"]["code"] == "too_many_waiting"
                    assert third.read().endswith(b"data: [DONE]\n\n")
        assert first.status == second.status == 200
        begun = [device.until("begun").json["id"] for _ in range(2)]
    turns = workers.one.get_json(f"{PATH}/trip", user)["turns"]
    assert [turn["messages"][0]["content"] for turn in turns] == ["zero", LONG, "second", "third"]
    assert [turn["id"] for turn in turns[2:]] == begun == [second.answer["id"], third.headers["x-completion-id"]]
    assert ask(workers.two, user, "now", when_busy="refuse")[0] == 200


def test_prompts_that_come_together_keep_to_the_answers_at_once_of_one_client(workers: Fleet) -> None:
    """A database on the network lets the others in while one adds its prompt."""
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(Asking(workers.one, {}, LONG, id=str(uuid.uuid4()))) for _ in range(15)]
    assert sorted(one.status for one in asked) == [200] * 10 + [429] * 5


def test_conversations_that_begin_together_do_not_close_those_that_are_there(
    workers: Fleet, user: dict[str, str]
) -> None:
    """A database on the network lets each count without the others, so there can be too many for a while."""
    for who in (user, {}):
        ids = [str(uuid.uuid4()) for _ in range(8)]
        with contextlib.ExitStack() as stack:
            asked = [stack.enter_context(Asking(workers.one, who, "hi", id=id)) for id in ids]
        made = [id for id, one in zip(ids, asked, strict=True) if one.status == 200]
        if who:
            assert len(made) >= 3
            assert {ask(workers.one, who, "and", id)[0] for id in made} == {200}
            assert ask(workers.one, who, "more", "new")[1]["error"]["code"] == "too_many_conversations"
        else:
            assert [ask(workers.one, who, "hi", str(uuid.uuid4()))[0] for _ in range(3)] == [200] * 3
            assert {workers.two.request("GET", f"{PATH}/{id}")[0] for id in made} == {404}


def test_prompt_that_waits_lives_through_an_outage_of_the_log(tmp_path: Path, user: dict[str, str]) -> None:
    with (
        serve_redis(tmp_path / "redis") as redis,
        serve(tmp_path, jwt_key=JWT_KEY, broker_url=redis.url, broker_seconds=0.5) as server,
    ):
        with Asking(server, user, LONG) as first, listen_soon(server, user) as device:
            with Asking(server, user, "second") as second:
                while device.until("prompt").json["messages"][0]["content"] != "second":
                    pass
                redis.freeze()
                # Each waits for the log as long as a look at the turn before does.
                outage = [server.request("GET", f"{PATH}/trip", headers=user)[0] for _ in range(3)]
                redis.thaw()
        assert (outage, first.status, second.status) == ([503] * 3, 200, 200)
        assert "Traceback" not in server.log


def test_prompt_that_waits_lives_through_an_outage_of_the_database(tmp_path: Path, user: dict[str, str]) -> None:
    with (
        serve_postgres() as postgres,
        serve(tmp_path, jwt_key=JWT_KEY, database_url=postgres.url()) as server,
    ):
        with Asking(server, user, LONG) as first, listen_soon(server, user) as device:
            with Asking(server, user, "second") as second:
                while device.until("prompt").json["messages"][0]["content"] != "second":
                    pass
                postgres.stop()
                wait_until(lambda: "waits through an outage" in server.log, 10, "the outage to be seen")
                postgres.start()
        assert (first.status, second.status) == (200, 200)


def test_pieces_are_told_where_events_must_be_small(tmp_path: Path, user: dict[str, str]) -> None:
    word = "x" * 98
    with serve(tmp_path, jwt_key=JWT_KEY, max_event_bytes=450) as server:
        with Asking(server, user, f"{word} " * 30), listen_soon(server, user) as device:
            pieces, last = [], device.next()
            while last and last.type != "ended":
                pieces += last.json["texts"] if last.type == "pieces" else []
                last = device.next()
        assert "".join(pieces).endswith(f" {word} {word} ")
        assert "is kept in its conversation later" not in server.log


def test_killed_worker_leaves_what_was_said_and_blocks_nothing(workers: Fleet, user: dict[str, str]) -> None:
    begin(workers, user, "Hello")
    with listen(workers.two, user) as device:
        watching = Device({"turns": []})
        with asking(workers.one, user):
            while not watching.turns or "wörd2" not in (watching.said()[-1][1] or ""):
                watching.take(device.next() or pytest.fail("the stream ended"))
            for pid in workers.one.workers:
                os.kill(pid, signal.SIGKILL)
            with Asking(workers.two, user, "and now?") as next:
                ended = {event.json["id"]: event.json for event in device.take(2, "ended")}
    lost = ended[[*watching.turns][-1]]
    assert (lost["status"], lost["error"]["code"]) == ("failed", "worker_lost")
    assert next.status == 200
    turns = workers.two.get_json(f"{PATH}/trip", user)["turns"]
    assert [turn["status"] for turn in turns] == ["complete", "failed", "complete"]
    part = turns[1]["answer"]["content"]
    assert LONG.startswith(part)
    assert part.startswith(watching.said()[-1][1] or "-")


def test_another_user_finds_nothing_and_has_the_same_id(workers: Fleet, user: dict[str, str]) -> None:
    ask(workers.one, user, "mine")
    other = token("another", publish=["*"], subscribe=["*"])
    for headers in (other, {}):
        for method, path in (("GET", ""), ("GET", "/stream"), ("DELETE", "")):
            assert workers.two.request(method, f"{PATH}/trip{path}", headers=headers)[0] == 404
    assert ask(workers.two, other, "theirs")[1]["usage"]["prompt_tokens"] == 1
    assert len(workers.one.get_json(f"{PATH}/trip", user)["turns"]) == 1


def test_client_without_a_user_needs_an_id_that_can_not_be_guessed(workers: Fleet) -> None:
    status, error = ask(workers.one, {}, "hi", "trip")
    assert (status, error["error"]["code"]) == (400, "conversation")
    ids = [str(uuid.uuid4()) for _ in range(4)]
    assert ask(workers.one, {}, "hi", ids[0])[0] == 200
    with listen(workers.two, {}, ids[0]) as device:
        for id in ids[1:]:
            assert ask(workers.one, {}, "hi", id)[0] == 200
        device.until("deleted")
    found = [workers.two.request("GET", f"{PATH}/{id}")[0] for id in ids]
    assert found == [404, 200, 200, 200]  # three are kept on this server
    assert workers.two.request("GET", PATH)[0] == 401


def test_bounds_are_told(workers: Fleet, user: dict[str, str]) -> None:
    for id, code in (("a/b", "conversation"), ("", "conversation"), ("x" * 65, "conversation")):
        assert ask(workers.one, user, "hi", id)[1]["error"]["code"] == code
    assert ask(workers.one, user, "hi", 7)[0] == 400  # type: ignore[arg-type]
    assert ask(workers.one, user, "hi", when_busy="perhaps")[0] == 400
    begin(workers, user, "x" * 2400)
    assert ask(workers.one, user, "x" * 2400)[1]["error"]["code"] == "conversation_full"
    assert ask(workers.one, user, "\0 \ud800 x")[0] == 200
    assert workers.two.get_json(f"{PATH}/trip", user)["turns"][1]["answer"]["content"] == "\0 \ud800 x"
    assert [ask(workers.one, user, "hi", id)[0] for id in "abc"] == [200, 200, 409]
    assert [one["id"] for one in workers.one.get_json(f"{PATH}?limit=2", user)["conversations"]] == ["b", "a"]


def test_prompt_that_is_taken_can_be_read_however_deep_it_is(workers: Fleet, user: dict[str, str]) -> None:
    """A stream has a deeper stack than the request that stores the prompt."""
    taken = []
    for depth in range(500, 1000, 4):
        deep = "[" * depth + "]" * depth
        message = '{"role": "user", "content": "hi", "deep": ' + deep + "}"
        body = f'{{"model": "echo", "conversation": "trip", "messages": [{message}]}}'.encode()
        status, _, text = workers.one.request("POST", ASK, body, user)
        if status == 200:
            taken.append(depth)
            listen(workers.two, user).close()
            workers.one.request("DELETE", f"{PATH}/trip", headers=user)
        else:
            assert (status, json.loads(text)["error"]["code"]) == (400, "not_json")
    assert 0 < len(taken) < 125, "the others are refused"


def test_delete_cancels_and_removes(workers: Fleet, user: dict[str, str]) -> None:
    begin(workers, user, "Hello")
    with listen(workers.two, user) as device, Asking(workers.one, user, LONG) as asking:
        device.until("pieces")
        assert workers.two.request("DELETE", f"{PATH}/trip", headers=user)[0] == 204
        device.until("deleted")
    assert (asking.status, asking.answer["error"]["code"]) == (409, "cancelled")
    assert workers.one.request("GET", f"{PATH}/trip", headers=user)[0] == 404
    assert workers.one.get_json(PATH, user)["conversations"] == []
    assert "Traceback" not in workers.one.log + workers.two.log


def test_lost_log_leaves_what_was_said_and_a_part_of_the_answer(tmp_path: Path, user: dict[str, str]) -> None:
    tuned = CONSTANTS | {f"{MODULES}.telling._PART_SECONDS": 0.1, f"{MODULES}.turns._START_MS": 500}
    settings: dict[str, Any] = {"jwt_key": JWT_KEY, "constants": tuned}
    part = "SELECT answer FROM conversation_turn WHERE answer LIKE '%wörd9%'"
    database = tmp_path / "instance" / "service.db"
    with serve(tmp_path, **settings) as server:
        with asking(server, user), contextlib.closing(sqlite3.connect(database)) as rows:
            wait_until(lambda: rows.execute(part).fetchone(), 5, "a part")
            for pid in (server.process.pid, *server.workers):
                os.kill(pid, signal.SIGKILL)
    with serve(tmp_path, broker_url="sqlite:///another.db", **settings) as server:
        path = f"{PATH}/trip"
        wait_until(lambda: "pieces" not in server.get_json(path, user)["turns"][0], 5, "the sweeper")
        (turn,) = server.get_json(path, user)["turns"]
        assert (turn["status"], turn["error"]["code"]) == ("failed", "worker_lost")
        assert LONG.startswith(turn["answer"]["content"])
        assert ask(server, user, "and now?", when_busy="refuse")[0] == 200
        with listen(server, user) as device:
            with contextlib.closing(sqlite3.connect(database)) as rows, rows:
                rows.execute("UPDATE conversation SET spoken_ms = spoken_ms - ?", (91 * 86_400_000,))
            device.until("deleted")
        wait_until(
            lambda: server.request("GET", path, headers=user)[0] == 404, 5, "a silent conversation to be removed"
        )


def test_log_has_nothing_of_what_was_said_where_the_database_fails(tmp_path: Path, user: dict[str, str]) -> None:
    tuned = CONSTANTS | {f"{MODULES}.telling._PART_SECONDS": 0.1, f"{MODULES}.telling._TRIES": 1}
    with serve(tmp_path, jwt_key=JWT_KEY, constants=tuned) as server, Asking(server, user, LONG):
        with listen_soon(server, user) as device:
            while "rd2" not in "".join(device.until("pieces").json["texts"]):
                pass
        with contextlib.closing(sqlite3.connect(tmp_path / "instance" / "service.db")) as database:
            database.execute("ALTER TABLE conversation_turn RENAME TO elsewhere")
        wait_until(lambda: "is kept in its conversation later" in server.log, 5, "the failure")
        assert "rd1" not in server.log, "a word of the answer"
