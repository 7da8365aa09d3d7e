"""The servers that the Redis log accepts, its URLs, and its messages for servers that it refuses."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.flask_simulcast.brokers import check_url, connect
from app.flask_simulcast.brokers.redis.broker import RedisBroker
from app.flask_simulcast.errors import BrokerError, BrokerUnavailableError, SettingError
from app.flask_simulcast.event import Position
from app.flask_simulcast.settings import Settings
from tests.contract.logs import draft, read_all
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import free_port, wait_until

Open = Callable[..., RedisBroker]


def refusal_of(function: Callable[[], object]) -> str:
    """Return the message of a refusal, with the messages of its causes."""
    with pytest.raises(BrokerUnavailableError) as caught:
        function()
    assert "certainly not stored" in str(caught.value) or "maxmemory-policy" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush" not in repr(error)
        error = error.__cause__ or error.__context__
    return str(caught.value)


# Refused


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_throws_keys_away_is_refused(tmp_path: Path, open_redis: Open, policy: str) -> None:
    with serve_redis(tmp_path / "redis", options={"maxmemory-policy": policy}) as server:
        broker = open_redis(server.url)
        for ask in (lambda: broker.append([draft()]), broker.head, lambda: broker.wait(0.1), broker.maintain):
            assert "Set maxmemory-policy noeviction there" in refusal_of(ask)
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        broker.append([draft()])


def test_without_a_server_nothing_is_stored(open_redis: Open) -> None:
    broker = open_redis(f"redis://:hush@127.0.0.1:{free_port()}/0")
    assert "refused" in refusal_of(lambda: broker.append([draft()]))


def test_a_wrong_password_is_told_and_not_shown(
    tmp_path: Path, open_redis: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serve_redis(tmp_path / "redis") as server:
        assert server.command("CONFIG", "SET", "requirepass", "right").startswith(b"+OK")
        for credentials in (":hush@", "ann:hush@", ""):
            broker = open_redis(f"redis://{credentials}127.0.0.1:{server.port}/0")
            said = refusal_of(lambda broker=broker: broker.append([draft()]))
            assert "password" in said or "Authentication required" in said
        open_redis(f"redis://:right@127.0.0.1:{server.port}/0").append([draft()])
    assert "hush" not in caplog.text
    assert "right" not in caplog.text


def test_a_replica_that_may_only_be_read_stores_nothing(tmp_path: Path, open_redis: Open) -> None:
    with serve_redis(tmp_path / "master") as master:
        (position,) = open_redis(master.url).append([draft()])
        with serve_redis(tmp_path / "replica", options={"replicaof": f"127.0.0.1 {master.port}"}) as replica:
            wait_until(lambda: replica.facts("replication").get("master_link_status") == "up", 20)
            broker = open_redis(replica.url)
            assert "read only" in refusal_of(lambda: broker.append([draft()]))
            assert broker.head() == position
            replica.command("REPLICAOF", "NO", "ONE")
            assert broker.append([draft()])[0].key > position.key


def test_a_redis_that_still_loads_stores_nothing_yet(tmp_path: Path, open_redis: Open) -> None:
    server = Redis(tmp_path / "redis", keeps=False, options={"enable-debug-command": "yes"})
    server.start()
    try:
        broker = open_redis(server.url)
        (position,) = broker.append([draft()])
        server.command("DEBUG", "POPULATE", "200000")
        server.command("CONFIG", "SET", "key-load-delay", "20")
        server.command("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
        loading = threading.Thread(target=lambda: server.command("DEBUG", "RELOAD", seconds=60))
        loading.start()
        refused = 0
        deadline = time.monotonic() + 20
        while loading.is_alive() and time.monotonic() < deadline:
            try:
                broker.append([draft()])
            except BrokerUnavailableError as error:
                refused += "loading" in str(error)
                server.command("CONFIG", "SET", "key-load-delay", "0")
            except BrokerError:
                pass
        loading.join()
        assert refused
        assert broker.verdict(position, ["c"]).reason is None
    finally:
        server.stop()


# Settings


WRONG = [
    "redis://:hu/sh@h/0", "redis://:hush@h:port/0", "redis://:hush@h/x", "redis://:hush@h/0?foo=hush",
    "redis://:hu#sh@h/0", "redis://:12#hush@h/0", "redis://:hu?sh@h/0", "redis://:hush@[h/0", "redis://:hush@ho\u2100st/0",
    "redis://:hush@h:99999/0", "redis://h/0?db=hush", "redis://:hush@h/-1", "redis://:hush@h/0?decode_responses=0",
    "redis://:hush@h/0?retry_on_timeout=1&socket_timeout=9", "rediss://:hush@h/0?ssl_cert_reqs=hush", "unix://?db=1",
    "unix:///tmp/hush.sock?db=hush", "sentinel://:hush@/s", "sentinel://:hush@h", "sentinel://:hush@h/s/x",
    "sentinel://:hush@h:x/s", "sentinel://:hu/sh@h/s", "sentinel://:hush@h/s?x=hush", "sentinel://:hush@h,,/s",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_cant_be_read_stops_the_start_with_an_example_and_no_password(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_url(Settings(broker_url=url))
    assert "redis://localhost:6379/0" in str(caught.value)
    error: BaseException | None = caught.value
    for part in ("hush", "hu/sh", "'hu'", "12"):
        assert part not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost", "redis://u:p%2Fw@h:1/2", "redis://[::1]:6379/0?db=3", "rediss://h/0?ssl_cert_reqs=none",
        "unix:///tmp/x.sock?db=2", "unix://u:p@/tmp/x.sock", "sentinel://a,b:1,[::1]:2/s", "sentinel://u:p@a/s/3",
    ],
)  # fmt: skip
def test_a_valid_url_makes_no_connection_yet(url: str) -> None:
    connect(Settings(broker_url=url)).close()


# Ways to get there


def test_a_unix_socket_a_number_of_a_db_and_a_prefix_keep_logs_apart(tmp_path: Path, open_redis: Open) -> None:
    path = tmp_path / "r.sock"
    with serve_redis(tmp_path / "redis", options={"unixsocket": str(path)}) as server:
        opened = [
            open_redis(f"unix://{path}?db=1"),
            open_redis(f"redis://127.0.0.1:{server.port}/2"),
            open_redis(server.url),
            open_redis(server.url, redis_prefix="other"),
        ]
        starts = [broker.head() for broker in opened]
        for number, broker in enumerate(opened):
            broker.append([draft(number)])
        for number, (broker, start) in enumerate(zip(opened, starts, strict=True)):
            assert [event.data for event in read_all(broker, start)] == [f'"{number}"']
        same = open_redis(f"redis://127.0.0.1:{server.port}/1")
        assert [event.data for event in read_all(same, starts[0])] == ['"0"']
        assert server.command("DBSIZE") == b":14\r\n"  # seven of each log
        assert all(key.startswith((b"{simulcast}:", b"{other}:")) for key in server.command("KEYS", "*").split()[2::2])


def test_over_tls_too_and_only_with_a_certificate_that_is_known(tmp_path: Path, open_redis: Open) -> None:
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
    }
    with serve_redis(tmp_path / "redis", options=options) as server:
        broker = open_redis(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        start = broker.head()
        positions = broker.append([draft("x" * 50_000) for _ in range(40)])
        assert [event.position for event in read_all(broker, start)] == positions
        for _ in range(5):
            broker.wait(0.05)
            positions = broker.append([draft()])
            broker.wait(5)
            assert broker.read(positions[0])[:2] == ([], False)
        server.freeze()
        start_at = time.monotonic()
        with pytest.raises(BrokerError):
            broker.append([draft()])
        assert time.monotonic() - start_at < 3
        server.thaw()
        assert "certificate" in refusal_of(lambda: open_redis(f"rediss://:hush@127.0.0.1:{port}/0").append([draft()]))


@contextmanager
def sentinel_of(folder: Path, master: Redis) -> Iterator[int]:
    port = free_port()
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor app 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds app 500\nsentinel failover-timeout app 3000\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["redis-server", str(config), "--sentinel"], stdout=log, stderr=log)
    sentinel = Redis(folder / "client", port=port)
    try:
        wait_until(sentinel._answers, 10)
        wait_until(lambda: b"slave" in sentinel.command("SENTINEL", "REPLICAS", "app"), 20)
        yield port
    finally:
        process.kill()
        process.wait()


def test_where_sentinels_make_a_replica_the_master_appends_go_on_and_readers_are_told_of_what_is_lost(
    tmp_path: Path, open_redis: Open
) -> None:
    with serve_redis(tmp_path / "master", keeps=False) as master:
        options = {"replicaof": f"127.0.0.1 {master.port}", "repl-diskless-sync-delay": "0"}
        with serve_redis(tmp_path / "replica", keeps=False, options=options) as replica:
            wait_until(lambda: replica.facts("replication").get("master_link_status") == "up", 20)
            with sentinel_of(tmp_path / "sentinel", master) as port:
                url = f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/app"  # the first of them is not there
                broker, follower = open_redis(url), open_redis(url)
                (kept,) = broker.append([draft("kept")])
                assert follower.read(kept)[:2] == ([], False)
                wait_until(lambda: replica.command("XLEN", "{simulcast}:tail") == b":1\r\n", 5)
                replica.freeze()
                master.command("CLIENT", "KILL", "TYPE", "replica")  # or it would find it in its socket
                (lost,) = broker.append([draft("lost")])
                follower.wait(1)
                assert [event.position for event in follower.read(kept).events] == [lost]
                master.kill()
                replica.thaw()
                killed_at = time.monotonic()
                position = wait_until(lambda: try_to_append(broker), 15)
                assert time.monotonic() - killed_at < 10
                assert broker.verdict(kept, ["c"]).reason is None
                assert broker.verdict(lost, ["c"]).reason in ("lost", "forked")
                assert wait_until(lambda: is_passed(follower, lost), 5)
                assert [event.position for event in read_all(follower, kept)] == [position]


def try_to_append(broker: RedisBroker) -> Position | None:
    try:
        return broker.append([draft("new", key="k")])[0]
    except BrokerError:
        return None


def is_passed(broker: RedisBroker, position: Position) -> bool:
    try:
        broker.wait(0.1)
        return broker.read(position).passed
    except BrokerError:
        return False
