"""Modes of the files that the service writes, and of its unix socket (security, "Weak": 0777 and 0644)."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.serving import BEARER, Server, serve, wait_until

# An operator's umask may be any; this one takes nothing away.
NO_UMASK = ["sh", "-c", 'umask 0; exec "$@"', "sh"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write_all(server: Server) -> None:
    server.publish("a", 1)
    status, _, _ = server.request("PUT", "/api/v1/wukongs/web-7/status", {"cpu": 1}, BEARER)
    assert status in (200, 201, 204)
    assert server.request("GET", "/metrics")[0] == 200


def test_every_file_is_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    with serve(tmp_path, workers=2, through=NO_UMASK, first=True) as server:
        write_all(server)
        instance = tmp_path / "instance"
        written = {path: mode(path) for path in [instance, *instance.rglob("*")] if not path.is_socket()}
        names = {path.name for path in written}
        assert {"simulcast.db", "simulcast.db-wal", "simulcast.db-shm", "service.db", "service.db-wal"} <= names
        assert {"service.db-shm", "ended.json", "turn.lock", "simulcast.db.lock", "simulcast.db.bells"} <= names
        wrong = {path: oct(found) for path, found in written.items() if found != (0o700 if path.is_dir() else 0o600)}
        assert not wrong


def test_a_socket_is_for_its_user_and_its_group(open_folder: Path, tmp_path: Path) -> None:
    """Any other user of the machine could choose an address: X-Forwarded-For is believed there."""
    path = open_folder / "gunicorn.sock"

    def answered(user: int, group: int) -> bool:
        command = ["curl", "-s", "-o", os.devnull, "--unix-socket", str(path), "http://localhost/healthz"]
        return subprocess.run(command, user=user, group=group, extra_groups=[], check=False).returncode == 0

    with serve(tmp_path, bind=f"unix:{path}", proxy_hops=1, through=NO_UMASK):
        assert mode(path) == 0o770
        if os.getuid() != 0:
            pytest.skip("only root can be somebody else")
        wait_until(lambda: answered(os.getuid(), os.getgid()))
        assert answered(65534, os.getgid()), "nginx is in the group"
        assert not answered(65534, 65534)


def test_a_file_that_is_there_keeps_the_mode_that_its_operator_gave_it(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir(mode=0o750)
    database = tmp_path / "instance" / "service.db"
    database.touch()
    os.chmod(database, 0o640)
    os.chmod(database.parent, 0o750)
    with serve(tmp_path) as server:
        write_all(server)
        assert (mode(database.parent), mode(database)) == (0o750, 0o640)
