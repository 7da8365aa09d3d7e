"""Which database drivers let other requests run under gevent: as the table of docs/existing-app.md says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.neighbours.databases import serve_mariadb, serve_postgresql
from tests.tools.serving import ROOT

PAGE = (ROOT / "docs" / "existing-app.md").read_text()
BLOCK = re.search(r"```python\n(import psycopg2.*?)```", PAGE, re.DOTALL)
QUERY = Path(__file__).with_name("query.py")
COUNT = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 1000000) select count(*) from n"
DRIVERS = {
    "psycopg2": "postgresql+psycopg2",
    "psycopg2 with the function below": "postgresql+psycopg2",
    "psycopg 3": "postgresql+psycopg",
    "mysqlclient": "mysql+mysqldb",
    "PyMySQL": "mysql+pymysql",
}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with serve_postgresql() as postgresql, serve_mariadb() as mariadb:
        yield {"postgresql": postgresql, "mysql": mariadb}


def seconds_of(url: str, statement: str, setup: str = "") -> float:
    done = subprocess.run(
        [sys.executable, QUERY, url, statement], input=setup, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def lets_others_run(driver: str) -> bool:
    row = re.search(rf"^\| {re.escape(driver)} \| (yes|no)\b", PAGE, re.MULTILINE)
    assert row is not None, f"the page has no row for {driver}"
    return row[1] == "yes"


@pytest.mark.parametrize("driver", DRIVERS)
def test_driver_lets_other_requests_run_as_the_page_says(driver: str, ports: dict[str, int]) -> None:
    kind = DRIVERS[driver].partition("+")[0]
    database, sleep = ("postgres", "select pg_sleep(0.5)") if kind == "postgresql" else ("shop", "select sleep(0.5)")
    assert BLOCK is not None
    setup = BLOCK[1] if driver.endswith("below") else ""
    stood_still = seconds_of(f"{DRIVERS[driver]}://shop@127.0.0.1:{ports[kind]}/{database}", sleep, setup)
    assert (stood_still < 0.4) == lets_others_run(driver), stood_still


def test_sqlite_lets_no_other_request_run_during_a_query(tmp_path: Path) -> None:
    assert seconds_of(f"sqlite:///{tmp_path}/shop.db", COUNT) > 0.1
    assert not lets_others_run("sqlite3")
