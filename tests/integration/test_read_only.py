"""A working directory that can't be written to (bug F13): the service starts where all that it writes is elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.redis_server import serve_redis
from tests.tools.serving import KEY, PATHS, Server, serve, wait_until


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[list[str]]:
    """A command that runs the one after it in such a folder; not even root can write there."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield ["env", "-C", str(folder)]
    finally:
        subprocess.run(["umount", folder], check=True)


def elsewhere(folder: Path) -> dict[str, str]:
    """Settings that leave nothing to be written to the working directory."""
    return {
        "broker_url": f"sqlite:///{folder}/data/log.db",
        "database_url": f"sqlite:///{folder}/data/service.db",
        "metrics_folder": f"{folder}/data/metrics",
    }


def works(server: Server) -> bool:
    server.publish("a", 1)
    metrics = server.request("GET", "/metrics")
    return metrics[0] == 200 and server.get_json("/readyz")["status"] == "ok"


def test_it_starts_with_all_of_its_files_elsewhere(read_only: list[str], tmp_path: Path) -> None:
    with serve(tmp_path, workers=2, through=read_only, **elsewhere(tmp_path)) as server:
        assert works(server)
        assert "WARNING" not in server.log


def test_it_starts_with_its_log_in_redis(read_only: list[str], tmp_path: Path) -> None:
    with serve_redis(tmp_path, keeps=True) as redis:
        with serve(tmp_path, through=read_only, **elsewhere(tmp_path) | {"broker_url": redis.url}) as server:
            assert works(server)


def test_without_a_place_for_figures_it_goes_without_and_says_so_once(read_only: list[str], tmp_path: Path) -> None:
    with serve(tmp_path, through=read_only, **elsewhere(tmp_path) | {"metrics_folder": "instance/metrics"}) as server:
        assert [server.request("GET", path)[0] for path in ("/metrics", "/healthz", "/metrics")] == [503, 200, 503]
        assert server.log.count("Look at SIMULCAST_METRICS_FOLDER") == 1
        assert "Read-only file system" in server.log


def test_without_a_place_for_the_log_it_starts_and_is_not_ready(read_only: list[str], tmp_path: Path) -> None:
    with serve(tmp_path, through=read_only, **elsewhere(tmp_path) | {"broker_url": "sqlite:///log.db"}) as server:
        assert server.request("GET", "/healthz")[0] == 200
        assert server.request("GET", "/readyz")[0] == 503
        place = re.escape(f"{tmp_path}/read-only/instance/log.db")
        wait_until(
            lambda: re.search(f"{place} can't be opened: .*Check the folder of SIMULCAST_BROKER_URL", server.log)
        )


def test_without_a_place_for_the_database_the_start_says_which(read_only: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"SettingError: The database .*/read-only/instance/service.db can't be"):
        with serve(tmp_path, through=read_only):
            raise RuntimeError("it started")


def test_a_command_at_a_prompt_needs_no_place_at_all(read_only: list[str]) -> None:
    environment = os.environ | {"PYTHONPATH": PATHS, "SIMULCAST_JWT_KEY": KEY}
    command = [*read_only, sys.executable, "-m", "flask", "--app", "wsgi", "simulcast", "token", "--user", "ann"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2
