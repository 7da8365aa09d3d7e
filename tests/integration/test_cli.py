"""``flask simulcast …``: each command in this process, on a log in a file, without a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from app.flask_simulcast import Simulcast

simulcast = Simulcast()


def app_on(url: str, folder: Path, **settings: object) -> Flask:
    app = Flask(__name__, instance_path=str(folder))
    app.config["SIMULCAST_BROKER_URL"] = url
    app.config.update({f"SIMULCAST_{name.upper()}": value for name, value in settings.items()})
    simulcast.init_app(app)
    return app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = app_on("sqlite:///log.db", tmp_path, max_event_bytes=1000)
    yield app
    simulcast.close(app)


def run(app: Flask, *arguments: str, given: bytes | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["simulcast", *arguments], input=given)


def said(app: Flask, *arguments: str, given: bytes | None = None) -> str:
    done = run(app, *arguments, given=given)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def refused(app: Flask, *arguments: str, given: bytes | None = None) -> str:
    done = run(app, *arguments, given=given)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_publish_prints_the_position_of_the_event(app: Flask) -> None:
    first = said(app, "publish", "orders", '{"id": 7}', "--type", "created")
    second = said(app, "publish", "orders", "-", given='"ö"'.encode())
    with app.app_context():
        events = simulcast.history("orders").events
    assert [f"{event.position}\n" for event in events] == [first, second]
    assert [(event.type, json.loads(event.data)) for event in events] == [("created", {"id": 7}), ("message", "ö")]


def test_publish_with_a_key_stores_once(app: Flask) -> None:
    once = said(app, "publish", "orders", "1", "--key", "k")
    assert said(app, "publish", "orders", "1", "--key", "k") == once
    assert "was used for another event" in refused(app, "publish", "orders", "2", "--key", "k")


@pytest.mark.parametrize(
    ("arguments", "given", "why"),
    [
        (["or ders", "1"], None, "not a channel name"),
        (["all", "1"], None, "reserved"),
        (["orders", "id: 7"], None, "is not JSON"),
        (["orders", "NaN"], None, "can't be written as JSON"),
        (["orders", "[" * 100_000], None, "is not JSON"),
        (["orders", "-"], b"\xff", "not UTF-8"),
        (["orders", "-"], b" " * 10_000, "SIMULCAST_MAX_EVENT_BYTES"),
        (["orders", json.dumps("x" * 1000)], None, "SIMULCAST_MAX_EVENT_BYTES"),
        (["orders", "1", "--type", "connected"], None, "streams use themselves"),
        (["orders", "1", "--key", ""], None, "idempotency key"),
        (["orders"], None, "Missing argument"),
    ],
)
def test_publish_refuses_what_the_library_refuses(
    app: Flask, arguments: list[str], given: bytes | None, why: str
) -> None:
    assert why in refused(app, "publish", *arguments, given=given)
    with app.app_context():
        assert simulcast.history("orders").events == []


def test_a_log_in_memory_is_out_of_reach(tmp_path: Path) -> None:
    assert "no other process can reach" in refused(app_on("memory://", tmp_path), "publish", "orders", "1")


def test_a_log_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    assert f"{tmp_path}/log.db can't be opened" in refused(
        app_on("sqlite:///log.db", tmp_path), "publish", "orders", "1"
    )


def test_redis_that_is_away_is_named(tmp_path: Path) -> None:
    assert "Redis" in refused(app_on("redis://127.0.0.1:1/0", tmp_path), "publish", "orders", "1")


def test_an_unknown_command_is_refused(app: Flask) -> None:
    assert "No such command 'token'" in refused(app, "token")
