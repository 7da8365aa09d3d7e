"""Completions of an upstream: a real server that answers well, badly, slowly or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, ClassVar, NamedTuple

import httpx
import pytest

from app.flask_simulcast.testing import read_sse
from tests.tools.clients import Block, SSEClient
from tests.tools.fleet import fleet, token
from tests.tools.serving import Server, wait_until

NEXT_SECONDS = "app.features.completions.upstream.NEXT_SECONDS"
FIRST_SECONDS = "app.features.completions.service.FIRST_SECONDS"
LEASE_SECONDS = "app.flask_simulcast.hub.runner._LEASE_SECONDS"
PATH = "/v1/chat/completions"
UI = "/api/v1/completions/ui"
PART: dict[str, Any] = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}


def chunk(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data:" + json.dumps({"id": "x", "choices": [choice]}, ensure_ascii=False).encode() + b"\r\n\r\n"


HELLO = chunk("Hé") + chunk("llo", "stop")
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{}}}\n\n'
DONE = b"data: [DONE]\n\n"


PIECES = [f"{number} wörd{'s' * (number % 7)}, " for number in range(500)]


class Model(BaseHTTPRequestHandler):
    """Answers what the name of the model says."""

    answers: ClassVar[dict[str, tuple[int, list[bytes]]]] = {
        "good": (200, [b": thinking\n\n", HELLO[:47], HELLO[47:50], HELLO[50:], USAGE, DONE]),
        "dear": (200, [HELLO, USAGE.replace(b":3", b":150000"), DONE]),
        "empty": (200, [DONE]),
        "roles": (200, [HELLO.replace(b'{"content"', b'{"role": "", "content"'), DONE]),
        "usage": (200, [chunk("a"), USAGE.replace(b":3", b':"3"'), DONE]),
        "thinks": (200, [b": thinking\n\n"]),
        "long": (200, []),
        "html": (200, [b"<html><p>Hello</p></html>"]),
        "nothing": (200, []),
        "garbage": (200, [chunk("a"), b"data: {{{\n\n"]),
        "no-choices": (200, [b'data: {"choices":7}\n\n']),
        "large": (200, [chunk("a"), chunk("x" * 100_000)]),
        "deep": (200, [chunk("a"), b'data: {"choices":[],"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n\n"]),
        "error": (200, [chunk("a"), b'event: error\ndata: {"error":{"message":"secret"}}\n\n']),
        "cut": (200, [chunk("a")]),
        "long-line": (200, [b"data: "] + [b"x" * 65536] * 40),
        "400": (400, [b"too long"]),
        "404": (404, [b"no model"]),
        "401": (401, [b"who?"]),
        "429": (429, [b"slowly"]),
        "500": (500, [b"<html>"]),
        "503": (503, [b""]),
    }
    asked: ClassVar[list[dict[str, Any]]] = []
    models: ClassVar[list[str]] = ["good"]
    gone_at: ClassVar[dict[str, float]] = {}
    has_thought: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        """One answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({**body, "key": self.headers["Authorization"]})
        if body["model"] == "mute":
            self._wait_for_the_end(body.get("user", ""))
            return
        status, pieces = self.answers.get(body["model"], (200, [chunk("a")]))
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.wfile.write(piece)
            if body["model"] == "slow":
                self._wait_for_the_end(body.get("user", ""))
            if body["model"] == "endless":
                while not select.select([self.connection], [], [], 0.05)[0]:  # until the client has left
                    self.wfile.write(chunk("a"))
            if body["model"] == "killed":  # its kernel resets the connection
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.shutdown(socket.SHUT_RD)
                self.connection.close()
            if body["model"] == "long":
                for piece in PIECES:
                    self.wfile.write(chunk(piece))
                    time.sleep(0.005)  # its own pace, which no test waits for
                self.wfile.write(chunk("", "stop") + DONE)
            if body["model"] == "thinks" and self.has_thought.wait(10):
                self.wfile.write(HELLO + DONE)

    def _wait_for_the_end(self, user: str) -> None:
        self.connection.settimeout(10)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.gone_at[user] = time.monotonic()

    def do_GET(self) -> None:
        """The models."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": model} for model in self.models]}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Both(NamedTuple):
    service: Server
    url: str
    other: Server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Two workers of one log behind ports of their own, and their upstream."""
    folder = tmp_path_factory.mktemp("both")
    key = folder / "key"
    key.write_text("sk-hidden\n")
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=upstream.serve_forever, args=(0.01,))
    thread.start()
    settings = {
        "url": f"http://127.0.0.1:{upstream.server_port}/v1",
        "key": f"@{key}",
        "anonymous": "true",
    }
    try:
        with fleet(
            folder,
            app="wsgi:app",
            constants={NEXT_SECONDS: 2, FIRST_SECONDS: 1.5, LEASE_SECONDS: 4},
            heartbeat_seconds=0.3,
            **{f"completions_{k}": v for k, v in settings.items()},
        ) as (service, other):
            yield Both(service, f"http://127.0.0.1:{service.port}{PATH}", other)
    finally:
        upstream.shutdown()
        thread.join()
        upstream.server_close()


def question(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}


def test_answer_of_the_upstream_is_passed_on(both: Both) -> None:
    status, _, body = both.service.request("POST", PATH, question("good", top_k=3, cancel_on_disconnect=False))
    told = json.loads(body)
    assert (status, told["choices"][0]["message"]["content"], told["usage"]["total_tokens"]) == (200, "Héllo", 3)
    asked = Model.asked[-1]
    assert (asked["key"], asked["top_k"], "cancel_on_disconnect" in asked) == ("Bearer sk-hidden", 3, False)
    assert [model["id"] for model in both.service.get_json("/v1/models")["data"]] == ["good"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("html", 502, "upstream_cut"),
        ("nothing", 502, "upstream_cut"),
        ("no-choices", 502, "upstream_garbage"),
        ("long-line", 502, "upstream_garbage"),
        ("401", 502, "upstream_unauthorized"),
        ("400", 400, "upstream_refused"),
        ("404", 404, "model_not_found"),
        ("429", 429, "upstream_busy"),
        ("500", 502, "upstream_status"),
        ("503", 502, "upstream_status"),
    ],
)
def test_bad_upstream_before_the_first_token_is_a_status(both: Both, model: str, status: int, code: str) -> None:
    answered, headers, body = both.service.request("POST", PATH, question(model, stream=True))
    assert (answered, json.loads(body)["error"]["code"]) == (status, code)
    assert ("retry-after" in headers) == (status == 429)


def test_only_an_upstream_that_is_not_ready_is_asked_again(both: Both) -> None:
    for model, times in (("503", 3), ("500", 1)):
        before = len(Model.asked)
        both.service.request("POST", PATH, question(model))
        assert len(Model.asked) - before == times


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("garbage", "upstream_garbage"),
        ("usage", "upstream_garbage"),
        ("large", "upstream_garbage"),
        ("deep", "upstream_garbage"),
        ("killed", "upstream_cut"),
        ("error", "upstream_failed"),
        ("cut", "upstream_cut"),
        ("slow", "upstream_timeout"),
    ],
)
def test_bad_upstream_after_the_first_token_is_one_error_event(both: Both, model: str, code: str) -> None:
    status, _, body = both.service.request("POST", PATH, question(model, stream=True))
    first, last = read_sse(body)
    assert status == 200
    assert first.json["choices"][0]["delta"]["content"] == "a"
    assert (last.type, last.json["error"]["code"]) == ("error", code)
    assert b"secret" not in body
    told = read_sse(both.service.request("POST", UI, PART | {"model": model})[2])
    assert [event.json["type"] for event in told[3:-1]] == ["text-delta", "error"]
    assert told[-2].json["errorText"] == last.json["error"]["message"]


@pytest.mark.parametrize("model", ["go\0od", "\ud800", "a\nb"])
def test_model_whose_name_no_database_can_hold_is_refused(both: Both, model: str) -> None:
    status, _, body = both.service.request("POST", PATH, question(model, conversation=str(uuid.uuid4())))
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_question")


def test_answer_without_a_chunk_is_a_stream_that_ends(both: Both) -> None:
    status, _, body = both.service.request("POST", PATH, question("empty", stream=True))
    assert (status, [event.data for event in read_sse(body)]) == (200, ["[DONE]"])
    status, _, body = both.service.request("POST", UI, PART | {"model": "empty"})
    *parts, _ = read_sse(body)
    assert (status, parts[-1].json) == (200, {"type": "finish", "finishReason": "other"})


def test_ui_question_without_a_model_is_refused_where_the_upstream_has_none(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert b"llo" in both.service.request("POST", UI, PART)[2]
    monkeypatch.setattr(Model, "models", [])
    status, _, body = both.service.request("POST", UI, PART)
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")


def test_client_that_asks_too_much_is_told_when_to_come_back_in_openai_headers(both: Both) -> None:
    ann = token("ann", publish=["completions"])
    status, headers, _ = both.service.request("POST", PATH, question("dear"), ann)
    assert (status, headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"]) == (
        200,
        "100000",
        "0",
    )
    status, headers, body = both.service.request("POST", PATH, question("good", stream=True), ann)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert 20 <= int(headers["retry-after"]) <= 31
    assert headers["x-ratelimit-reset-tokens"].startswith("1m")
    assert both.service.request("POST", PATH, question("good"))[0] == 200


def test_answers_at_once_of_one_client_are_bounded(both: Both) -> None:
    ann = token("hasty", publish=["completions"])
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            opened = httpx.stream(
                "POST",
                both.url,
                json=question("endless", stream=True, cancel_on_disconnect=True),
                headers=ann,
                trust_env=False,
            )
            assert stack.enter_context(opened).status_code == 200
        status, headers, body = both.service.request("POST", PATH, question("good"), ann)
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("cancels", ["same worker", "another worker"])
@pytest.mark.parametrize("model", ["slow", "mute"])
def test_cancel_closes_the_connection_to_the_upstream_at_once(both: Both, model: str, cancels: str) -> None:
    server, user = both.service if cancels == "same worker" else both.other, f"{model} {cancels}"
    with httpx.stream("POST", both.url, json=question(model, stream=True, user=user), trust_env=False) as response:
        id = response.headers["x-completion-id"]
        asked_at = time.monotonic()
        assert json.loads(server.request("DELETE", f"{PATH}/{id}")[2])["cancelled"]
        wait_until(lambda: user in Model.gone_at, 2, "the upstream to be left")
        assert Model.gone_at[user] - asked_at < 0.5  # 0.1 is promised; other tests use this machine, too
        assert b'"code":"cancelled"' in response.read()


def test_client_that_reloads_50_times_has_each_piece_once(both: Both) -> None:
    with httpx.stream("POST", both.url, json=question("long", stream=True), trust_env=False) as response:
        id = response.headers["x-completion-id"]
    seen: list[Block] = []
    random, last_id = Random(7), None
    for reload in range(51):
        server = both.service if reload % 2 else both.other
        with SSEClient(server.port, f"{PATH}/{id}/stream", last_event_id=last_id) as client:
            seen += client.take(random.randrange(1, 12)) if reload < 50 else client.rest()
            last_id = client.last_id
    *chunks, done = seen
    assert done.data == "[DONE]"
    assert len({block.id for block in seen}) == len(seen) == len(PIECES) + 2
    assert "".join(block.json["choices"][0]["delta"]["content"] for block in chunks) == "".join(PIECES)


def test_heartbeats_come_as_comments_while_the_upstream_thinks(both: Both) -> None:
    Model.has_thought.clear()
    with httpx.stream("POST", both.url, json=question("thinks", stream=True), trust_env=False) as response:
        lines = response.iter_lines()
        assert next(lines).startswith(":")
        assert next(lines).startswith(":")
        Model.has_thought.set()
        events = list(read_sse("\n".join(lines).encode() + b"\n\n"))
    assert [event.json["choices"][0]["delta"]["content"] for event in events[:2]] == ["Hé", "llo"]
    assert events[2].data == "[DONE]"


def test_failures_of_the_upstream_are_counted_by_reason(both: Both) -> None:
    both.service.request("POST", PATH, question("500"))
    metrics = both.service.request("GET", "/metrics")[2].decode()
    assert re.search(r'^simulcast_runs_failed_total{code="upstream_status"} [1-9]', metrics, re.MULTILINE)


def test_killed_worker_is_told_and_what_came_before_stays(both: Both) -> None:
    with httpx.stream("POST", both.url, json=question("slow", stream=True), trust_env=False) as response:
        id, lines = response.headers["x-completion-id"], response.iter_lines()
        assert any("data:" in line for line in lines), "it is in the log"
        for pid in both.service.workers:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(httpx.RemoteProtocolError):
            list(lines)
    with SSEClient(both.other.port, f"{PATH}/{id}/stream", timeout=30) as client:
        first, last = client.rest()
    assert first.json["choices"][0]["delta"]["content"] == "a"
    assert (last.type, last.json["error"]["code"]) == ("error", "worker_lost")
    told = both.other.get_json(f"{PATH}/{id}")
    assert (told["status"], told["choices"][0]["message"]["content"]) == ("failed", "a")


def test_usage_is_what_the_upstream_counts_else_the_chunks_that_it_sent(both: Both) -> None:
    for model, credits in (("good", 3), ("cut", 1)):
        both.service.request("POST", PATH, question(model, stream=True))
        path = f"/api/v1/usage?model={model}"
        listed = wait_until(lambda path=path: both.service.get_json(path)["usage"], 5, "a record")
        assert {record["creditsUsed"] for record in listed} == {credits}


def test_conversation_puts_what_was_said_before_the_prompt(both: Both) -> None:
    id = str(uuid.uuid4())
    for model in ("cut", "roles", "good"):
        status = both.service.request("POST", PATH, question(model, conversation=id, when_busy="wait"))[0]
        assert status == (502 if model == "cut" else 200)
    asked = Model.asked[-1]
    user = {"role": "user", "content": "Hi"}
    answers = [{"role": "assistant", "content": text} for text in ("a", "Héllo")]
    assert asked["messages"] == [user, answers[0], user, answers[1], user]
    assert not {"conversation", "when_busy"} & asked.keys()


def test_nothing_of_the_upstream_is_in_the_log(both: Both) -> None:
    assert "Traceback" not in both.service.log
    assert "sk-hidden" not in both.service.log
