"""`flask simulcast doctor` without a URL: gunicorn's configuration is read as gunicorn reads it; logs and Redis are real."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.flask_simulcast import Settings
from app.flask_simulcast.brokers import connect, located
from app.flask_simulcast.doctor import redis_log, server, sqlite_log
from app.flask_simulcast.doctor.errors import BadInputError
from app.flask_simulcast.doctor.examination import examine
from app.flask_simulcast.doctor.finding import Finding, Verdict
from app.flask_simulcast.event import Draft
from app.flask_simulcast.testing import FakeClock
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.serving import ROOT, free_port

HOOKS = """
def post_worker_init(worker):
    from app.flask_simulcast.gunicorn import post_worker_init
    post_worker_init(worker)

def worker_int(worker):
    from app.flask_simulcast import gunicorn
    gunicorn.worker_int(worker)
"""
SOUND = f"worker_class = 'gevent'\nworker_connections = 4096\n{HOOKS}"
RAISED = """
def on_starting(server):
    raise_limit()

def raise_limit():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
"""
STARRED = """
from app.flask_simulcast.gunicorn import *

def post_worker_init(worker):
    hooks.post_worker_init(worker)
"""
OF_OTHERS = """
worker_class = "gevent"
worker_connections = 4096
def post_worker_init(worker):
    worker.log.info("not ours")
def worker_int(worker):
    post_worker_init(worker)
"""


def findings_of(settings: Settings, arguments: list[str] | None, *others: Any) -> list[Finding]:
    return list(examine(settings, arguments, *others))


def faults(findings: list[Finding]) -> list[str]:
    return [finding.fault for finding in findings if finding.fault]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the server would be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "arguments", "named"),
    [
        (SOUND, [], []),
        (f"from gevent import monkey\nmonkey.patch_all()\npreload_app = True\n{SOUND}", [], []),
        (STARRED, [], []),
        ("", ["-c", "python:app.flask_simulcast.gunicorn"], []),
        (SOUND, ["-w", "4"], []),
        (SOUND, ["-k", "gthread", "--threads", "8"], ["threads"]),
        (SOUND, ["--threads", "11000", "-k", "sync"], []),
        (HOOKS, [], ["worker_class", "connections"]),
        (f"{SOUND}preload_app = True\n", [], ["late_patch"]),
        (OF_OTHERS, [], ["hooks"]),
        (f"{SOUND}worker_connections = 1000\n", [], []),
        (f"{SOUND}max_requests = 1000\n", [], ["max_requests"]),
        (f"{SOUND}keepalive = 0\n", [], ["keepalive"]),
    ],
)
def test_lines_of_gunicorn_are_named(folder: Path, text: str, arguments: list[str], named: list[str]) -> None:
    (folder / "gunicorn.conf.py").write_text(text)
    facts = server.read_facts(arguments)
    assert facts is not None
    assert faults(server.check(facts, Settings())) == named


def test_too_few_connections_are_a_fault_where_streams_do_not_park(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(f"{SOUND}worker_connections = 1000\n")
    facts = server.read_facts([])
    assert facts is not None
    assert faults(server.check(facts, Settings(parking=False))) == ["connections"]
    parked = server.connections(facts, Settings())
    assert parked.verdict is Verdict.NOTE
    assert "1000 connections" in parked.told


@pytest.mark.parametrize(("text", "arguments"), [(SOUND, ["--version"]), ("import sys\nsys.exit(0)\n", [])])
def test_gunicorn_that_ends_before_it_is_read_is_bad_input(folder: Path, text: str, arguments: list[str]) -> None:
    (folder / "gunicorn.conf.py").write_text(text)
    with pytest.raises(BadInputError, match="ends before its configuration is read"):
        server.read_facts(arguments)


def test_configuration_is_found_as_gunicorn_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.read_facts(None) is None  # nothing to read: the doctor says so, and guesses nothing
    (folder / "production.py").write_text(SOUND)
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "-c python:production -w 3")
    facts = server.read_facts(None)
    assert facts is not None
    assert (facts["config"], facts["workers"], facts["worker_class"]) == ("python:production", 3, "gevent")
    assert all(facts["hooks"].values())
    given = server.read_facts(["-w", "5"])
    assert given is not None
    assert given["workers"] == 5  # the command goes before the environment


def test_every_worker_with_a_memory_log_of_its_own_is_named(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(f"{SOUND}workers = 2\n")
    assert faults(findings_of(Settings(broker_url="memory://"), None)) == ["memory_of_many"]


def test_limit_of_open_files_is_that_of_the_hook_that_raises_it(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(SOUND + RAISED)
    facts = server.read_facts([])
    assert facts is not None
    assert facts["raises_descriptors"]
    assert server.descriptors_here(-1, 3600).verdict is Verdict.SOUND
    assert server.descriptors_here(1024, 3600).verdict is Verdict.NOTE  # a unit has a limit of its own


# The SQLite log


@pytest.fixture
def settings(folder: Path) -> Settings:
    """Of an app whose log is there."""
    settings = located(Settings(), str(folder / "instance"))
    with closing(connect(settings)) as broker:
        broker.append([Draft("orders", "message", "7")])
    return settings


@pytest.fixture
def log(folder: Path) -> str:
    return str(folder / "instance" / "simulcast.db")


def test_log_that_a_worker_made_is_sound(settings: Settings) -> None:
    findings = findings_of(settings, None)
    assert faults(findings) == []
    assert {"log", "permissions", "file system", "disk", "write-ahead log", "clock"} <= {
        each.check for each in findings
    }


def test_log_that_is_not_there_yet_is_not_made(folder: Path) -> None:
    findings = findings_of(located(Settings(), str(folder / "instance")), None)
    assert faults(findings) == []
    assert not (folder / "instance").exists()
    assert "There is no" in next(finding for finding in findings if finding.check == "log").told


def test_folder_that_can_not_be_made_is_named(folder: Path) -> None:
    (folder / "file").touch()
    settings = Settings(broker_url=f"sqlite:///{folder}/file/below/simulcast.db")
    assert faults(findings_of(settings, None)) == ["log_missing_folder"]


def test_log_that_others_can_read_is_named(settings: Settings, log: str) -> None:
    os.chmod(log, 0o644)
    (finding,) = [each for each in findings_of(settings, None) if each.fault]
    assert (finding.fault, finding.wrong, finding.right) == ("log_readable", f"mode 0644 of {log}", f"chmod 600 {log}*")


OF_LOG = """
import sys
from app.flask_simulcast.doctor.sqlite_log import access
if len(sys.argv) > 2:
    import os
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
finding = access(sys.argv[1])
print(finding.fault or finding.verdict.value)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("of_folder", "of_log", "user", "says"),
    [(0, 0, 65533, "log_unusable"), (65533, 0, 65533, "log_unusable"), (65534, 65534, 65533, "unseen")],
)
def test_log_of_root_is_named_and_that_of_another_user_left_alone(
    of_folder: int, of_log: int, user: int, says: str
) -> None:
    """A doctor that runs as another user than the server can't judge."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        log = os.path.join(folder, "simulcast.db")
        Path(log).touch(0o600)
        os.chown(log, of_log, of_log)
        os.chown(folder, of_folder, of_folder)
        os.chmod(folder, 0o755)
        done = subprocess.run(
            [sys.executable, "-c", OF_LOG, log, str(user)], capture_output=True, text=True, check=True, cwd=ROOT
        )
    assert done.stdout.strip() == says


def test_file_that_is_no_log_is_named(settings: Settings, log: str) -> None:
    Path(log).write_bytes(b"not a database" * 100)
    for rest in ("-wal", "-shm"):
        Path(log + rest).unlink(missing_ok=True)
    assert faults(findings_of(settings, None)) == ["log_broken"]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_file_system_of_the_network_is_named(log: str, kind: str) -> None:
    table = f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:31 / {Path(log).parent.parent} rw shared:7 - {kind} server:/x rw\n"
    assert sqlite_log.file_system(log, sqlite_log.parse_mounts(table)).fault == "network_file_system"
    assert sqlite_log.file_system("/var/lib/a.db", sqlite_log.parse_mounts(table)).verdict is Verdict.SOUND


def test_name_of_a_mounted_folder_can_have_spaces_and_any_letters() -> None:
    table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:31 / /srv/d\\040é東 rw - nfs4 server:/x rw\n"
    assert sqlite_log.parse_mounts(table)[1].point == "/srv/d é東"


def test_file_systems_of_this_machine_are_listed() -> None:
    assert "/proc" in {mount.point for mount in sqlite_log.mounts()}


def test_disk_on_which_the_log_can_not_grow_is_named(settings: Settings, log: str) -> None:
    disk = os.statvfs(log)
    more = Settings(broker_url=settings.broker_url, history_bytes=2 * disk.f_bavail * disk.f_frsize)
    assert faults(findings_of(more, None)) == ["disk"]


def test_write_ahead_log_that_grows_is_named(log: str, settings: Settings) -> None:
    with open(f"{log}-wal", "wb") as wal:
        wal.truncate(1 << 30)
    os.chmod(f"{log}-wal", 0o600)
    assert faults(sqlite_log.check(log, settings)) == ["write_ahead"]


def test_clock_behind_the_log_is_named(settings: Settings) -> None:
    with closing(connect(settings, FakeClock(time.time_ns() // 1_000_000 + 3_600_000, time.monotonic()))) as broker:
        broker.append([Draft("orders", "message", "8")])
    (finding,) = [each for each in findings_of(settings, None) if each.fault]
    assert finding.fault == "log_ahead"
    assert " s in the future" in finding.told


# Redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with serve_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


def in_redis(redis: Redis) -> Settings:
    return Settings(broker_url=redis.url)


def test_redis_for_the_log_is_sound(redis: Redis, folder: Path) -> None:
    assert faults(findings_of(in_redis(redis), None)) == []


@pytest.mark.parametrize(
    ("name", "value", "usual", "fault"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "redis_policy"),
        ("maxmemory", "1", "0", "redis_full"),
        ("appendonly", "no", "yes", "redis_persistence"),
    ],
)
def test_setting_of_redis_is_named(redis: Redis, folder: Path, name: str, value: str, usual: str, fault: str) -> None:
    redis.command("CONFIG", "SET", name, value)
    try:
        assert faults(findings_of(in_redis(redis), None)) == [fault]
    finally:
        redis.command("CONFIG", "SET", name, usual)


def test_appendfsync_no_is_no_fault_and_told(redis: Redis, folder: Path) -> None:
    redis.command("CONFIG", "SET", "appendfsync", "no")
    try:
        findings = redis_log.check(in_redis(redis))
    finally:
        redis.command("CONFIG", "SET", "appendfsync", "always")
    assert [finding.check for finding in findings if finding.verdict is Verdict.NOTE] == ["redis persistence"]


def test_replica_is_named(redis: Redis, tmp_path: Path) -> None:
    with serve_redis(tmp_path / "replica", options={"replicaof": f"127.0.0.1 {redis.port}"}) as replica:
        assert faults(redis_log.check(in_redis(replica))) == ["redis_replica"]


def test_redis_that_is_away_is_named(folder: Path) -> None:
    assert faults(findings_of(Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"), None)) == ["redis_away"]


def test_clock_and_version_of_redis_are_judged() -> None:
    assert redis_log.clock(-90).fault == "redis_clock"
    assert redis_log.clock(0.2).fault == ""
    assert redis_log.server({"redis_version": "6.0.16"}).fault == "redis_old"
