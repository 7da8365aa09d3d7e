"""Completions over two workers, with the clients that people have: OpenAI's, unchanged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.flask_simulcast.testing import read_sse
from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, token
from tests.tools.serving import Server, serve, wait_until

if TYPE_CHECKING:
    import openai  # takes a second of CPU, so each process that runs no test of it does without

TEXT = "Hello, wörld: 🌍 goes on\nand on"
ANN = token("ann", publish=["completions"])["Authorization"].removeprefix("Bearer ")
PATH = "/v1/chat/completions"

server = server_fixture(workers=2, jwt_key=JWT_KEY, completions_anonymous="true", anonymous_channels="news")


def messages(text: str = TEXT) -> Any:
    return [{"role": "system", "content": "Say it again."}, {"role": "user", "content": text}]


def question(text: str = TEXT, **fields: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": messages(text), **fields}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    import openai

    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=ANN, max_retries=0) as client:
        yield client


def test_openai_client_streams_an_answer(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="echo", messages=messages(), stream=True, stream_options={"include_usage": True}
    )
    first, *between, last, usage = stream
    assert first.choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in (first, *between, last)) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in between] == [None] * len(between)
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == len(between)
    assert {chunk.id for chunk in between} == {first.id}
    assert client.chat.completions.retrieve(first.id).choices[0].message.content == TEXT


def test_openai_client_gets_a_whole_answer_and_lists_models(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=messages(), temperature=0.5, extra_body={"top_k": 3})
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer.system_fingerprint == "echo-is-no-model"
    assert [model.id for model in client.models.list()] == ["echo"]


def test_openai_stream_helper_and_async_client(client: openai.OpenAI) -> None:
    import openai

    with client.chat.completions.stream(model="echo", messages=messages()) as stream:
        assert stream.get_final_completion().choices[0].message.content == TEXT

    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=ANN, max_retries=0) as one:
            chunks = await one.chat.completions.create(model="echo", messages=messages(), stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    assert asyncio.run(ask()) == TEXT


def test_stream_has_openai_bytes_with_ids_and_nothing_else(server: Server) -> None:
    asked = question("one two", stream=True)
    status, headers, body = server.request("POST", PATH, asked, {"Last-Event-ID": "end"})  # says nothing here
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    assert blocks.pop() == "id: end\ndata: [DONE]"
    chunks = [json.loads(block.partition("\ndata: ")[2]) for block in blocks]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": " two"},
        {},
    ]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {
        (headers["x-completion-id"], "chat.completion.chunk")
    }
    ids = [block.partition("\n")[0].removeprefix("id: ") for block in blocks]
    assert len(set(ids)) == len(ids)
    rest = server.request("GET", f"{PATH}/{chunks[0]['id']}/stream", headers={"Last-Event-ID": ids[1]})[2]
    assert body.endswith(rest)
    assert [event.id for event in read_sse(rest)] == [*ids[2:], "end"]
    assert server.request("GET", f"{PATH}/{chunks[0]['id']}/stream", headers={"Last-Event-ID": "end"})[0] == 204


def status_of(server: Server, id: str) -> str:
    return str(server.get_json(f"{PATH}/{id}")["status"])


@pytest.mark.parametrize(("fields", "status"), [({"cancel_on_disconnect": True}, "cancelled"), ({}, "running")])
def test_answer_goes_on_without_its_client_unless_it_asked_otherwise(
    server: Server, fields: dict[str, bool], status: str
) -> None:
    asked = question("word " * 200, stream=True, **fields)
    with httpx.stream("POST", f"http://127.0.0.1:{server.port}{PATH}", json=asked, trust_env=False) as response:
        id = response.headers["x-completion-id"]
        with SSEClient(server.port, f"{PATH}/{id}/stream") as another:
            another.next()
        assert status_of(server, id) == "running"
    if status == "cancelled":
        wait_until(lambda: status_of(server, id) == "cancelled", 1, "the answer to be cancelled")
        return
    with SSEClient(server.port, f"{PATH}/{id}/stream") as back:
        back.take(20)
    assert json.loads(server.request("DELETE", f"{PATH}/{id}")[2])["cancelled"]
    told = server.get_json(f"{PATH}/{id}")
    assert (told["status"], told["error"]["code"]) == ("cancelled", "cancelled")
    assert told["choices"][0]["message"]["content"].startswith("word word")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b"[" * 10_000, 400, "invalid_question"),
        (b'{"model":"echo","messages":[],"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "not_json"),
        (question() | {"messages": []}, 400, "invalid_question"),
        (question() | {"messages": [{"role": 7, "content": "x"}]}, 400, "invalid_question"),
        (question() | {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "invalid_question"),
        (question(n=2), 400, "invalid_question"),
        (question() | {"\ud800": 1}, 400, "invalid_question"),
        (question() | {"messages": [{"role": "user", "content": "x", "\ud800": 1}]}, 400, "invalid_question"),
        (question(model="gpt-9"), 404, "model_not_found"),
        (question("x" * (1 << 20)), 413, "request_entity_too_large"),
    ],
)
def test_wrong_question_is_refused_in_openai_form(server: Server, body: Any, status: int, code: str) -> None:
    answered, _, text = server.request("POST", PATH, body)
    error = json.loads(text)["error"]
    assert (answered, error["code"], error["type"], error["param"]) == (status, code, "invalid_request_error", None)


def test_refusals_are_openai_errors(server: Server, client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve("chatcmpl-unknown")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    ann = token("ann", publish=["completions"])
    assert server.request("POST", PATH, question(), token("ann", publish=["other"]))[0] == 403
    id = server.request("POST", PATH, question("hers"), ann)[1]["x-completion-id"]
    assert server.request("GET", f"{PATH}/{id}", headers=ann)[0] == 200
    for headers in ({}, token("bob", publish=["*"])):
        for method, path in (("GET", ""), ("GET", "/stream"), ("DELETE", "")):
            assert server.request(method, f"{PATH}/{id}{path}", headers=headers)[0] == 404


UI = "/api/v1/completions/ui"


def said(*parts: dict[str, Any], role: str = "user", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "parts": [*parts]}], **fields}


def test_ui_message_stream_has_its_bytes_and_is_resumed_by_its_chat_while_it_runs(server: Server) -> None:
    asked = said(
        {"type": "text", "text": "one two"}, {"type": "data-x", "data": {}}, id="a/b", trigger="submit-message"
    )
    status, headers, body = server.request("POST", UI, asked)
    assert (status, headers["x-vercel-ai-ui-message-stream"]) == (200, "v1")
    *parts, done = [event.data for event in read_sse(body)]
    assert done == "[DONE]"
    assert [json.loads(part) for part in parts] == [
        {"type": "start", "messageId": headers["x-completion-id"]},
        {"type": "start-step"},
        {"type": "text-start", "id": "text"},
        {"type": "text-delta", "id": "text", "delta": "one"},
        {"type": "text-delta", "id": "text", "delta": " two"},
        {"type": "text-end", "id": "text"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]
    for chat in ("a%2Fb", "unknown"):
        assert server.request("GET", f"{UI}/{chat}/stream")[0] == 204
    slow = said({"type": "text", "text": "word " * 600}, id="slow")
    with httpx.stream("POST", f"http://127.0.0.1:{server.port}{UI}", json=slow, trust_env=False) as response:
        id = response.headers["x-completion-id"]
    assert server.request("GET", f"{UI}/slow/stream", headers=token("ann", publish=["completions"]))[0] == 204
    with SSEClient(server.port, f"{UI}/slow/stream") as back:
        assert [event.json["type"] for event in back.take(5)] == [
            "start",
            "start-step",
            "text-start",
            *["text-delta"] * 2,
        ]
        server.request("DELETE", f"{PATH}/{id}")
        last = next(event for event in iter(back.next, None) if event.json["type"] == "abort")
    assert last.json == {"type": "abort", "reason": "cancelled"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "not_json"),
        (b"[" * 10_000, "invalid_question"),
        (said(), "invalid_question"),
        (said({"type": "text", "text": 7}), "invalid_question"),
        (said({"type": "text", "text": "x"}, role="tool"), "invalid_question"),
        (said({"type": "text", "text": "x"}, n=2), "invalid_question"),
        (said({"type": "text", "text": "x"}) | {"\ud800": 1}, "invalid_question"),
        (said({"type": "text", "text": "x", "\ud800": 1}), "invalid_question"),
        (said({"type": "file", "mediaType": "image/png", "url": "data:"}), "not_text"),
        (said({"type": "tool-weather", "state": "input-available"}, role="assistant"), "not_text"),
    ],
)
def test_wrong_ui_message_is_refused(server: Server, body: Any, code: str) -> None:
    status, _, text = server.request("POST", UI, body)
    assert (status, json.loads(text)["error"]["code"]) == (400, code)


def test_question_whose_stream_is_refused_is_not_answered_behind_its_client(tmp_path: Path) -> None:
    """OpenAI's clients ask again after a 429: each answer that went on meanwhile cost its tokens."""
    with serve(tmp_path, jwt_key=JWT_KEY, max_listeners_per_user=1) as small:
        ann = token("ann", publish=["completions"], subscribe=["news"])
        with SSEClient(small.port, "/api/v1/stream?channel=news", headers=ann) as only:
            only.until("connected")
            for path, asked in (
                (PATH, question("word " * 200, stream=True)),
                (UI, said({"type": "text", "text": "word " * 200}, id="x")),
            ):
                status, _, body = small.request("POST", path, asked, ann)
                assert (status, json.loads(body)["error"]["code"]) == (429, "too_many_listeners")
            metrics = small.request("GET", "/metrics")[2].decode().splitlines()
            assert 'simulcast_runs_ended_total{ending="cancelled"} 2.0' in metrics
            assert "simulcast_runs 0.0" in metrics


def test_usage_stream_has_each_answer_live(server: Server) -> None:
    reader, eve = token(subscribe=["usage"]), token("eve", publish=["completions"])
    with SSEClient(server.port, "/api/v1/usage/stream", headers=reader) as usage:

        def next_of_eve() -> int:
            while True:
                for record in usage.until("usage").json:
                    if record.get("user") == "eve":
                        assert record["model"] == "echo"
                        return int(record["creditsUsed"])

        told = json.loads(server.request("POST", PATH, question("one two"), eve)[2])
        assert next_of_eve() == told["usage"]["total_tokens"] > 0
        url, asked = f"http://127.0.0.1:{server.port}{PATH}", question("word " * 200, stream=True)
        with httpx.stream("POST", url, json=asked, headers=eve, trust_env=False) as response:
            lines = response.iter_lines()
            next(line for line in lines if "word" in line)
            id = response.headers["x-completion-id"]
            assert json.loads(server.request("DELETE", f"{PATH}/{id}", headers=eve)[2])["cancelled"]
            chunks = 2 + sum(line.startswith('data: {"id') for line in lines)
        assert chunks <= next_of_eve() < 100, "what was made before the cancel"
