"""The JavaScript client in Node: its own tests, and what it sees of a real server through cuts and killed workers."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.identity.tokens import mint
from tests.tools.fleet import JWT_KEY
from tests.tools.js_client import STATIC, build_bundles, build_modules, files_of, run, run_tests
from tests.tools.relay import CuttingRelay
from tests.tools.serving import KEY, Server, serve

MOST_ZIPPED_BYTES = {
    "simulcast.js": 6 << 10,
    "views.js": 512,
    "tabs.js": 1024,
    "offline.js": 1536,
    "react.js": 1024,
    "vue.js": 1024,
}
MOST_BYTES = 28_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "history_events": 20_000,
        "publish_rate": 0,
        "retry_ms": 100,
        "heartbeat_seconds": 1,
        "jwt_key": JWT_KEY,
    }
    with serve(tmp_path_factory.mktemp("server"), workers=2, presence_channels="room.*", **settings) as server:
        yield server


def test_types_hold() -> None:
    build_modules()
    run("node_modules/.bin/tsc", "--noEmit")
    run("node_modules/.bin/tsc", "--project", "tsconfig.test.json")


def test_its_own_tests_pass() -> None:
    run_tests("parse.test.js", "pure.test.js", "connection.test.js", "page.test.js", "members.test.js")


def test_it_sees_each_event_once_through_cuts_and_killed_workers(server: Server) -> None:
    with CuttingRelay(server.port, random.Random(14), MOST_BYTES) as relay:
        run_real_tests("exactly_once", server, RELAY_URL=f"http://127.0.0.1:{relay.port}")
        assert relay.cuts >= 200


def test_it_publishes_and_asks_over_both_transports_and_gets_around_proxies(server: Server) -> None:
    rights = {"subscribe": ["*", "presence:room.*"], "publish": ["*"]}
    run_real_tests("hub", server, TOKEN=mint(JWT_KEY, seconds=600, user="ann", **rights))


def run_real_tests(name: str, server: Server, **environment: str) -> None:
    run_tests(
        f"real/{name}.test.js",
        SERVER_URL=f"http://127.0.0.1:{server.port}",
        PUBLISH_KEY=KEY,
        MASTER_PID=server.process.pid,
        NODE_OPTIONS="--experimental-websocket --experimental-eventsource --no-warnings",  # newer versions have both
        **environment,
    )


def test_the_files_of_the_wheel_are_built_from_these_sources_and_small(tmp_path: Path) -> None:
    built = build_bundles(tmp_path)
    assert files_of(STATIC) == built, "stale: run `npm run build` in clients/js, and commit the files"
    for name, most in MOST_ZIPPED_BYTES.items():
        assert len(gzip.compress(built[name], 9)) <= most, name
    assert set(built) == set(MOST_ZIPPED_BYTES)
