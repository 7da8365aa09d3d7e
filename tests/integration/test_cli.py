"""``flask simulcast …``: each command in this process, on a log in a file, without a server."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app import create_app
from app.flask_simulcast import Simulcast
from tests.tools.serving import ROOT

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


def test_publish_sends_text_as_it_is_if_it_is_raw(app: Flask) -> None:
    said(app, "publish", "orders", "<li>7</li>", "--raw")
    said(app, "publish", "orders", "-", "--raw", given=b"<li>\n8")
    assert said(app, "history", "orders", "--json").count('"raw":true') == 2
    assert "<li>7</li>" in said(app, "history", "orders")
    with app.app_context():
        assert [event.text for event in simulcast.history("orders").events] == ["<li>7</li>", "<li>\n8"]
    assert "not text" in refused(app, "publish", "orders", "\udcff", "--raw")


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


# Looking into the log


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def publish(app: Flask, channel: str, *data: object, **options: Any) -> list[str]:
    with app.app_context():
        return [str(simulcast.publish(channel, value, **options).position) for value in data]


def test_channels_are_listed_with_what_they_hold(app: Flask) -> None:
    publish(app, "chat.b", 1, 2)
    publish(app, "chat.a", 1)
    publish(app, "news", 1)
    head, *rows = said(app, "channels").splitlines()
    assert head.split() == ["CHANNEL", "EVENTS", "RATE", "OLDEST", "NEWEST", "LISTENERS"]
    assert [row.split()[:2] for row in rows] == [["chat.a", "1"], ["chat.b", "2"], ["news", "1"]]
    found = objects(said(app, "channels", "chat.*", "--json"))
    assert [(one["channel"], one["events"], one["listeners"]) for one in found] == [("chat.a", 1, 0), ("chat.b", 2, 0)]
    assert all(one["first_ms"] <= one["last_ms"] and 0 < one["rate"] <= 2 for one in found)
    assert [one["channel"] for one in objects(said(app, "channels", "news", "--json"))] == ["news"]
    assert said(app, "channels", "new", "--json") == ""
    assert "star before its end" in refused(app, "channels", "*.a")


def test_channels_come_in_parts(app: Flask) -> None:
    with app.app_context():
        simulcast.publish_to_channels([f"c{n:03}" for n in range(250)], 1)
    done = run(app, "channels", "--json", "--limit", "120")
    assert len(done.stdout.splitlines()) == 120
    assert done.stderr == "There are more. Go on with --after c119\n"
    rest = objects(said(app, "channels", "--json", "--after", "c119"))
    assert [one["channel"] for one in rest] == [f"c{n:03}" for n in range(120, 250)]


def test_name_in_the_hint_to_go_on_steers_neither_the_terminal_nor_the_shell(app: Flask) -> None:
    with app.app_context():
        for user in ("$(reboot) o'brien\x1b[2J", "zoe"):
            simulcast.publish_to_user(user, 1)
    told = run(app, "channels", "user:*", "--limit", "1").stderr
    assert told.isascii() and "\x1b" not in told
    assert shlex.split(told)[-1] == r"user:$(reboot) o'brien\x1b[2J"


def test_history_prints_events_for_people_and_for_programs(app: Flask) -> None:
    first, second = publish(app, "orders", {"id": 7}, "\x1b[31m\u202e", type="created")
    publish(app, "orders", "<b>\n</b>", raw=True)
    lines = said(app, "history", "orders").splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        'orders  created  {"id":7}',
        r'orders  created  "\u001b[31m\u202e"',
        r"orders  message  <b>\n</b>",
    ]
    done = run(app, "history", "orders", "--json", "--from", first, "--count", "1")
    (event,) = objects(done.stdout)
    assert (event["id"], event["channel"], event["type"], event["data"]) == (
        second,
        "orders",
        "created",
        "\x1b[31m\u202e",
    )
    assert done.stderr == f"There are more. Go on with --from {second}\n"


def test_history_tells_a_gap(app: Flask) -> None:
    publish(app, "orders", 1)
    gap, event = objects(said(app, "history", "orders", "--json", "--from", "1-0-00000000"))
    assert (gap["type"], gap["data"]["reason"], gap["data"]["channels"]) == ("gap", "lost", ["orders"])
    assert event["data"] == 1
    assert "Events of orders are missing" in run(app, "history", "orders", "--from", "1-0-00000000").stderr


def test_listen_begins_where_it_is_told_and_ends_after_a_number(app: Flask) -> None:
    first, second, third = publish(app, "orders", 1, 2, 3)
    publish(app, "others", 4)
    done = run(app, "listen", "orders", "--json", "--from", first, "--count", "1")
    assert [event["data"] for event in objects(done.stdout)] == [2]
    assert done.stderr == f"Go on with --from {second}\n"
    done = run(app, "listen", "orders", "others", "--last", "2", "--count", "2")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["3", "4"]
    done = run(app, "listen", "orders", "--from", third, "--seconds", "0.05")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"Go on with --from {third}\n")


def test_listen_tells_a_gap_once(app: Flask) -> None:
    publish(app, "orders", 1, 2)
    done = run(app, "listen", "orders", "--json", "--from", "1-0-00000000", "--count", "2")
    assert [event["type"] for event in objects(done.stdout)] == ["gap", "message", "message"]


def test_runs_are_listed_and_cancelled(app: Flask) -> None:
    with app.app_context():
        for number in range(3):
            user = "bob" if number else "ann"
            simulcast.start_run(lambda run: run.sleep(60), id=f"r{number}", user=user, meta={"n": number})
    assert said(app, "cancel", "r1") == ""
    done = run(app, "cancel", "r1")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "The run has ended before: cancelled.\n")
    assert [line.split()[:4] for line in said(app, "runs").splitlines()] == [
        ["RUN", "USER", "STATUS", "EVENTS"],
        ["r0", "ann", "running", "0"],
        ["r1", "bob", "cancelled", "0"],
        ["r2", "bob", "running", "0"],
    ]
    page = run(app, "runs", "--user", "bob", "--limit", "1", "--json")
    (shown,) = objects(page.stdout)
    assert (shown["id"], shown["status"], shown["meta"]) == ("r1", "cancelled", {"n": 1})
    assert shown["ended_ms"] >= shown["started_ms"]
    assert page.stderr == "There are more. Go on with --after r1\n"
    assert [one["id"] for one in objects(said(app, "runs", "--after", "r1", "--json"))] == ["r2"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["listen", "or ders"], "not a channel name"),
        (["listen", "orders", "--from", "x"], "not a position"),
        (["listen", "orders", "--from", "1-0-00000000", "--last", "1"], "not both"),
        (["listen", "orders", "--seconds", "0"], "range"),
        (["listen"], "Missing argument"),
        (["history", "simulcast:control"], "not a channel name"),
        (["history", "user:" + "x" * 129], "not a user"),
        (["listeners", "--channel", "a b"], "not a channel name"),
        (["listeners", "--limit", "0"], "range"),
        (["members", ""], "not a channel name"),
        (["kick", "1"], "No listener is connected"),
        (["cancel", "\udcff"], "No run is known"),
        (["runs", "--user", "\udcff"], "not text in UTF-8"),
        (["listeners", "--user", "\udcff"], "not text in UTF-8"),
        (["cancel", "a b"], "No run is known as 'a b'"),
        (["runs", "--limit", "1001"], "range"),
        (["revoke"], "--user"),
        (["revoke", "--user", "a\nb"], "not a user"),
    ],
)
def test_a_wrong_argument_is_refused(app: Flask, arguments: list[str], why: str) -> None:
    publish(app, "orders", 1)
    assert why in refused(app, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["channels"],
        ["history", "a"],
        ["listen", "a"],
        ["listeners"],
        ["members", "a"],
        ["revoke", "--user", "a"],
        ["runs"],
        ["cancel", "a"],
    ],
)
def test_what_reads_makes_no_log(app: Flask, tmp_path: Path, arguments: list[str]) -> None:
    assert f"There is no log at {tmp_path}/log.db" in refused(app, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_where_the_app_makes_no_log_publish_makes_none_either(tmp_path: Path) -> None:
    app = Flask(__name__, instance_path=str(tmp_path))
    Simulcast().init_app(app, create=False)
    assert "There is no log at" in refused(app, "publish", "orders", "1")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    app = app_on("sqlite:///log.db", tmp_path, history_bytes=1 << 20, max_event_bytes=8 << 20)
    text = json.dumps("x" * (3 << 20)).encode()
    assert "disk is full" in refused(app, "publish", "orders", "-", given=text)


def test_the_service_has_its_token_in_the_same_group(tmp_path: Path) -> None:
    app = create_app({"SIMULCAST_BROKER_URL": f"sqlite:///{tmp_path}/log.db", "SIMULCAST_DATABASE_URL": "sqlite://"})
    listed = said(app, "--help")
    assert all(f"\n  {name} " in listed for name in ("channels", "listen", "publish", "token"))


def test_no_command_is_imported_at_the_start_of_an_app() -> None:
    code = (
        "import sys; from flask import Flask; from app.flask_simulcast import Simulcast; Simulcast(Flask('shop'));"
        "print([name for name in sys.modules if '.cli.' in name and 'flask_simulcast' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "['app.flask_simulcast.cli.group']\n"
