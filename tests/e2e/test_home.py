"""The first page: charts that begin with the last minutes, and commands that work as they stand there."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.tools.chromium import Chromium, Page
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, KEY, Server, wait_until

server = server_fixture(workers=1, constants={"app.looks.PERIOD_SECONDS": 0.5})
LINE = "document.querySelector('[data-chart=processor] [data-part=line]').getAttribute('d') ?? ''"
COMMANDS = (
    "Object.fromEntries([...document.querySelectorAll('.tries code')].map((code) => [code.id, code.textContent]))"
)


@pytest.fixture
def home(server: Server, chromium: Chromium) -> Page:
    return chromium.open(f"http://127.0.0.1:{server.port}/")


def run(command: str) -> subprocess.Popen[str]:
    """A command as a user pastes it."""
    env = {"PATH": os.environ["PATH"], "TOKEN": KEY}
    return subprocess.Popen(
        ["sh", "-c", f"exec {command}"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")


def test_charts_have_the_last_minutes_although_no_client_watched(server: Server, chromium: Chromium) -> None:
    past = "/api/v1/dashboard/past"
    wait_until(lambda: len(server.get_json(past)["samples"]) >= 4, 15, "the worker to have looked five times")
    began = time.monotonic()
    page = chromium.open(f"http://127.0.0.1:{server.port}/")
    page.wait_for(f"({LINE}).split('L').length >= 4")
    assert time.monotonic() - began < 5, "the stream alone has a sample every two seconds"
    assert page.evaluate("document.getElementById('name').textContent") == server.get_json(past)["host"]
    page.wait_for("document.body.dataset.connection === 'live'")
    before = page.evaluate(LINE)
    page.wait_for(f"({LINE}) !== {before!r}")
    assert page.complaints() == []


def test_commands_work_as_they_stand_there(server: Server, home: Page) -> None:
    commands = home.evaluate(COMMANDS)
    listening = run(commands["try-listen"])
    try:
        assert any("connected" in line for line in lines(listening))
        assert '"positions"' in run(commands["try-publish"]).communicate(timeout=10)[0]
        assert any('{"text":"hello"}' in line for line in lines(listening))
    finally:
        listening.kill()
        listening.communicate()
    assert '"kitchen"' in run(commands["try-report"]).communicate(timeout=10)[0]
    home.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    home.wait_for("document.querySelector('#list a[title=kitchen]')?.pathname === '/wukongs'")
    assert server.request("DELETE", "/api/v1/wukongs/kitchen", headers=BEARER)[0] == 204


def test_a_button_copies_its_command(home: Page, chromium: Chromium) -> None:
    chromium.grant("clipboardReadWrite", "clipboardSanitizedWrite")
    home.show()
    home.evaluate("document.querySelector('[data-copies=try-publish]').click()")
    home.wait_for("document.querySelector('[data-copies=try-publish]').textContent === 'Copied'")
    assert home.evaluate("navigator.clipboard.readText()") == home.evaluate(COMMANDS)["try-publish"]


@pytest.mark.parametrize(
    ("languages", "asked", "expected"), [("zh-CN,en;q=0.5", "", "zh"), ("fr", "", "en"), ("zh", "?lang=en", "en")]
)
def test_a_page_speaks_the_language_of_its_reader(server: Server, languages: str, asked: str, expected: str) -> None:
    status, headers, page = server.request("GET", f"/{asked}", headers={"Accept-Language": languages})
    assert status == 200
    assert headers["content-language"] == expected
    assert f'<html lang="{expected}">'.encode() in page
    assert (b"/wukongs?lang=en" in page) is bool(asked), "the next page speaks what was asked for"
