"""The service's database: migrations from any state, one process at a time; SQLite and PostgreSQL alike; and streams that hold
no connection."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from app import create_app, migrations
from app.extensions import db
from app.features.usage import store
from tests.tools.clients import SSEClient
from tests.tools.postgres import Postgres, connect_to, serve_postgres
from tests.tools.serving import BEARER, PATHS, Server, serve, wait_until
from tests.tools.sockets import JSONSocket

VERSIONS = sorted(Path(migrations.__file__).parent.glob("versions/*.py"))
#: The table as the first version made it.
OLDEST = (
    "CREATE TABLE wukong (name VARCHAR(64) NOT NULL PRIMARY KEY, data TEXT NOT NULL, reported_ms BIGINT NOT NULL,"
    " is_offline BOOLEAN NOT NULL)"
)
ROW = "INSERT INTO wukong (name, data, reported_ms, is_offline) VALUES ('old', '{\"n\": 1}', 1000, true)"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with serve_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server of one worker, and the URL of its database."""
    url = postgres.new_url()
    with serve(tmp_path_factory.mktemp("server"), database_url=url) as running:
        yield running, url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/service.db"
    return str(request.getfixturevalue("postgres").new_url())


_apps: list[Flask] = []


def app_on(url: str) -> Flask:
    app = create_app({"SIMULCAST_BROKER_URL": "memory://", "SIMULCAST_DATABASE_URL": url})
    _apps.append(app)
    return app


@pytest.fixture(autouse=True)
def connections_are_closed() -> Iterator[None]:
    yield
    while _apps:
        with _apps.pop().app_context():
            db.engine.dispose()


def agents(server: Server) -> set[str]:
    return {one["name"] for one in server.get_json("/api/v1/wukongs")["wukongs"] if one["kind"] == "agent"}


def report(server: Server, name: str) -> int:
    return server.request("PUT", f"/api/v1/wukongs/{name}/status", {"n": 2}, BEARER)[0]


# Migrations


def test_the_migrations_are_one_line_and_numbered() -> None:
    """Two branches that each add one meet here: the second takes the next number."""
    texts = [file.read_text() for file in VERSIONS]
    for number, (file, text) in enumerate(zip(VERSIONS, texts, strict=True), 1):
        before = f'"{number - 1:04}"' if number > 1 else "None"
        assert file.name.startswith(f"{number:04}_"), file.name
        assert f'revision = "{number:04}"\ndown_revision = {before}\n' in text, file.name


def test_the_migrations_make_the_tables_of_the_models(url: str) -> None:
    with app_on(url).app_context(), db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


def test_a_database_from_before_there_were_migrations_keeps_its_rows(url: str) -> None:
    with old(url) as connection:
        connection.execute(OLDEST)
        connection.execute(ROW)
        connection.commit()
    for _ in range(2):
        with app_on(url).app_context(), db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
            rows = connection.exec_driver_sql("SELECT name, data, interval_ms FROM wukong").all()
            assert [tuple(row) for row in rows] == [("old", '{"n": 1}', 0)]


def old(url: str) -> contextlib.AbstractContextManager[Any]:
    """A connection without the service."""
    if url.startswith("sqlite"):
        return contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///")))
    return connect_to(url)


def test_each_migrates_in_its_turn(url: str) -> None:
    """Two processes, each with its connections, as threads with an app of its own."""
    apps = [app_on(url), app_on(url)]
    order: list[str] = []
    has_entered = threading.Event()

    def second() -> None:
        with apps[1].app_context(), migrations.turn():
            order.append("second")
            has_entered.set()

    thread = threading.Thread(target=second)
    with apps[0].app_context(), migrations.turn():
        thread.start()
        assert not has_entered.wait(0.5)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_migration_that_fails_leaves_everything_as_it_was(url: str) -> None:
    app = app_on(url)
    with app.app_context(), pytest.raises(ZeroDivisionError), migrations.turn() as connection:
        connection.exec_driver_sql("CREATE TABLE half (n INTEGER)")
        raise ZeroDivisionError
    with app.app_context(), migrations.turn() as connection:
        connection.exec_driver_sql("CREATE TABLE half (n INTEGER)")


def test_a_database_of_a_newer_version_is_used_with_a_warning(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """In a rolling deploy an old worker might start after the new ones."""
    with app_on(url).app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    app_on(url)
    assert "revision 9999 of a newer version" in caplog.text


# Servers


def test_workers_that_start_at_once_share_a_new_database_and_fifty_streams_hold_none_of_its_connections(
    url: str, tmp_path: Path
) -> None:
    """Each worker has one connection."""
    app = "tests.apps.one_connection:app"
    with serve(tmp_path, workers=2, app=app, database_url=url) as server, contextlib.ExitStack() as stack:
        assert report(server, "a") == 200
        clients = [stack.enter_context(SSEClient(server.port, "/api/v1/wukongs/a/stream")) for _ in range(50)]
        assert {client.until("status").json["data"]["n"] for client in clients} == {2}
        assert [agents(server) for _ in range(4)] == [{"a"}] * 4
        assert report(server, "a") == 200
        assert {client.until("status").json["data"]["n"] for client in clients} == {2}
        assert "Traceback" not in server.log


def test_a_wait_for_postgres_stops_no_other_request(on_postgres: tuple[Server, str]) -> None:
    """Of the same worker: the driver waits by gevent."""
    server, url = on_postgres
    assert report(server, "a") == 200
    with connect_to(url) as connection, connect_to(url) as other:
        connection.execute("LOCK TABLE wukong IN ACCESS EXCLUSIVE MODE")
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(report(server, "b")))
        waiting.start()
        wait_until(lambda: other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
        assert server.request("GET", "/healthz")[0] == 200
        assert server.publish("news", 1)
        assert answers == []
        connection.rollback()
        waiting.join(10)
        assert answers == [200]


def test_postgres_may_restart(on_postgres: tuple[Server, str], postgres: Postgres) -> None:
    server, _ = on_postgres
    assert report(server, "c") == 200
    postgres.stop()
    status, headers, body = server.request("GET", "/api/v1/wukongs/c")
    postgres.start()
    assert (status, json.loads(body)["error"]["code"]) == (503, "database_unavailable")
    assert headers["retry-after"] == "1"
    assert "c" in agents(server)


@contextlib.contextmanager
def without(path: Path, table: str) -> Iterator[None]:
    """For the service it is the same as a database that is away: a statement fails."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO away")
        yield
        connection.execute(f"ALTER TABLE away RENAME TO {table}")


def test_database_that_is_away_is_the_same_error_in_a_list_in_a_console_and_in_a_call_and_ends_no_event_source(
    tmp_path: Path,
) -> None:
    path = tmp_path / "service.db"
    with (
        serve(tmp_path / "service", database_url=f"sqlite:///{path}", rpc="1") as server,
        JSONSocket(server, "/ws/wukong/host", BEARER) as host,
    ):
        assert report(server, "web-7") == 200
        with JSONSocket(server, "/ws/wukong/web-7", BEARER) as console:
            console.take(1, "status")
            with without(path, "wukong"):
                for command in ({"type": "command", "command": "ping"}, {"type": "status"}):
                    answer = console.ask(command)
                    assert (answer["code"], answer["retry_after_seconds"]) == ("database_unavailable", 1)
                status, headers, body = server.request("GET", "/api/v1/wukongs", headers=BEARER)
                assert headers["retry-after"] == "1"
                assert (status, json.loads(body)["error"]["code"]) == (503, "database_unavailable")
                call = "/wukongs.v1.WukongService/Get"
                status, _, body = server.request(
                    "POST", call, {"name": "web-7"}, BEARER | {"Content-Type": "application/json"}
                )
                assert (status, json.loads(body)["code"]) == (503, "unavailable")
                assert host.ask({"type": "status"})["type"] == "reply", "this machine's own status is in no database"
            assert console.ask({"type": "status"})["result"]["name"] == "web-7"
        source = BEARER | {"Accept": "text/event-stream"}
        with without(path, "usage"):
            status, _, body = server.request("GET", "/api/v1/usage/stream", headers=source)
            assert (status, b'"reason":"database_unavailable","reconnect":true' in body) == (200, True), body
            status, _, body = server.request("GET", "/api/v1/usage", headers=BEARER)
            assert (status, json.loads(body)["error"]["code"]) == (503, "database_unavailable")
        assert "Exception on" not in server.log


def test_a_start_without_the_database_says_so_in_one_sentence(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ann:topsecret@127.0.0.1:1/none"
    with pytest.raises(AssertionError) as raised, serve(tmp_path, database_url=url):
        pass
    assert "SettingError: The database of SIMULCAST_DATABASE_URL can't be used: connection" in str(raised.value)
    assert "topsecret" not in str(raised.value)


def test_more_records_of_usage_are_found_than_a_statement_has_parameters(url: str) -> None:
    origins = [number.to_bytes(16, "big") for number in range(70_000)]
    with app_on(url).app_context():
        store.add([store.New(number, "sonnet", 1000, origins[number]) for number in (69_999, 3)])
        assert [row.credits_used for row in store.of_origins(origins)] == [69_999, 3]


def test_the_commands_of_flask_migrate_find_the_database(tmp_path: Path) -> None:
    app_on(f"sqlite:///{tmp_path}/service.db")
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db"]

    def run(verb: str, file: str) -> tuple[int, str]:
        environment = os.environ | {"PYTHONPATH": PATHS, "SIMULCAST_DATABASE_URL": f"sqlite:///{tmp_path}/{file}"}
        done = subprocess.run(
            [*command, verb], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    newest = VERSIONS[-1].name[:4]
    status, text = run("current", "service.db")
    assert (status, f"{newest} (head)" in text) == (0, True), text
    status, text = run("upgrade", "nowhere.db")
    assert status == 2
    assert (
        text
        == f"Error: There is no database {tmp_path}/nowhere.db. Start the service once, or run this command in its folder.\n"
    )
    assert [path.name for path in tmp_path.glob("nowhere*")] == []
