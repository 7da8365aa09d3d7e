"""docs/runs.md: a progress that is watched and cancelled, an export that a second click joins, tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.flask_simulcast.testing import read_sse
from tests.docs.page import Block, Page
from tests.docs.reader import Reader, app_reader

PAGE = Page("docs/runs.md")
COUNT = PAGE.take("Progress", "python")
CURL = PAGE.take("Progress", "sh")
EXPORT = PAGE.take("An export", "python")
ANSWER = PAGE.take("Tokens", "python")
SERVE = "gunicorn -c python:flask_simulcast.gunicorn app:app"


class Client:
    """A client of one of the page's apps, which runs as the page's reader would start it."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.reader.port}{path}"
        return httpx.request(method, url, headers=headers, timeout=20, trust_env=False)

    def start(self, path: str, **headers: str) -> str:
        answer = self.ask("POST", path, **headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def watch(self, path: str, **headers: str) -> list[tuple[str, Any]]:
        events = read_sse([self.ask("GET", path, **headers).content])
        told = [(event.type, json.loads(event.data)) for event in events if event.type != "connected"]
        assert told.pop() == ("closed", {"reason": "finished", "reconnect": False})
        return told


def client_of(block: Block, folder: pytest.TempPathFactory) -> Iterator[Client]:
    with app_reader(folder.mktemp("runs"), app=block.text) as reader, reader.serving(SERVE):
        yield Client(reader)


@pytest.fixture
def counts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from client_of(COUNT, tmp_path_factory)


@pytest.fixture
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from client_of(EXPORT, tmp_path_factory)


@pytest.fixture
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from client_of(ANSWER, tmp_path_factory)


def test_progress_is_told_to_the_end_and_can_be_cancelled(counts: Client) -> None:
    output = counts.reader.run(CURL)
    assert output.count("event: progress") == 11
    assert 'event: complete\ndata: {"counted":100}' in output
    assert output.rstrip().endswith('data: {"reason":"finished","reconnect":false}')
    id = counts.start("/counts")
    assert counts.ask("DELETE", f"/counts/{id}").json() == {"cancelled": True}
    assert counts.watch(f"/counts/{id}")[-1] == ("cancelled", {})
    assert counts.ask("DELETE", f"/counts/{id}").json() == {"cancelled": False}
    assert counts.ask("GET", "/counts/x").status_code == 404


def test_second_click_joins_the_export_and_others_do_not_see_it(exports: Client) -> None:
    ann = {"X-User": "ann"}
    key = {"Idempotency-Key": "click-1"}
    id = exports.start("/exports", **ann, **key)
    assert exports.start("/exports", **ann, **key) == id != exports.start("/exports", **{"X-User": "bob"}, **key)
    *progress, last = exports.watch(f"/exports/{id}", **ann)
    assert progress == [("progress", {"rows": number}) for number in range(1, 101)]
    assert last == ("complete", {"file": f"{id}.csv"})
    assert len((exports.reader.folder / f"{id}.csv").read_text().split()) == 100
    assert exports.ask("GET", "/exports", **ann).json() == {"exports": [{"id": id, "status": "complete"}]}
    for method in ("GET", "DELETE"):
        assert exports.ask(method, f"/exports/{id}", **{"X-User": "bob"}).status_code == 404


def test_tokens_and_the_whole_text(answers: Client) -> None:
    id = answers.start("/answers")
    tokens = [("message", token) for token in ["Hel", "lo", ", ", "world"]]
    assert answers.watch(f"/answers/{id}") == [*tokens, ("complete", {"text": "Hello, world"})]
