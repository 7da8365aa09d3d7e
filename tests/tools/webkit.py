"""A real WebKit (that of GTK, as Epiphany has it), told what to do by WebDriver, on a screen that is not there.

Source: W3C, WebDriver. Its driver takes one window at a time, and scripts as the bodies of functions.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tools import browser
from tests.tools.require import require
from tests.tools.serving import free_port, wait_until

_ANSWER_SECONDS = 20
#: The value of the expression, and whether it is one: an error is told as a text.
_SCRIPT = """const [expression, done] = arguments;
new Promise((resolve) => resolve((0, eval)(expression)))
  .then((value) => done([true, value]), (error) => done([false, String(error)]));"""


class Page(browser.Page):
    """A tab of WebKit. Its own policy must allow `eval`."""

    def __init__(self, webkit: WebKit, handle: str) -> None:
        self._webkit = webkit
        self._handle = handle

    def evaluate(self, expression: str) -> Any:
        is_value, value = self._call("POST", "execute/async", script=_SCRIPT, args=[expression])
        assert is_value, value
        return value

    def complaints(self) -> list[str]:
        return [line for line in self._webkit.log.read_text().splitlines() if " ERROR " in line]

    def show(self) -> None:
        self._webkit.call("POST", "window", handle=self._handle)

    def close(self) -> None:
        self._call("DELETE", "window")

    def load_again(self) -> None:
        self._call("POST", "refresh")

    def go(self, url: str) -> None:
        """Load another page in this tab, and wait until it is there."""
        self._call("POST", "url", url=url)

    def _call(self, method: str, path: str, **parameters: Any) -> Any:
        self.show()
        return self._webkit.call(method, path, **parameters)


class WebKit(browser.Browser):
    """One browser with a profile of its own. Use `open_webkit`.

    Attributes:
        log: Where it writes what its pages say.
    """

    name = "webkit"

    def __init__(self, driver: http.client.HTTPConnection, binary: str, log: Path) -> None:
        self._driver = driver
        self._session = "/session"
        self.log = log
        options = {"binary": binary, "args": ["--automation", "--enable-write-console-messages-to-stdout=true"]}
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        self._session += "/" + self.call("POST", capabilities=wanted)["sessionId"]
        self._first = self.call("GET", "window")

    def open(self, url: str) -> Page:
        self.call("POST", "window", handle=self._first)  # it opens a window from one that is open
        page = Page(self, self.call("POST", "window/new", type="tab")["handle"])
        page.go(url)
        return page

    def call(self, method: str, path: str = "", **parameters: Any) -> Any:
        """Send a command and wait for its answer."""
        body = json.dumps(parameters) if method == "POST" else None
        self._driver.request(method, f"{self._session}/{path}".rstrip("/"), body)
        answer = json.loads(self._driver.getresponse().read())["value"]
        assert not (isinstance(answer, dict) and "error" in answer), f"{method} {path}: {answer}"
        return answer


@contextlib.contextmanager
def open_webkit(folder: Path) -> Iterator[WebKit]:
    """Start WebKit, its driver and its screen, with its profile in ``folder``, and stop them at the end."""
    driver = require("webkit2gtk-driver", shutil.which("WebKitWebDriver"))
    binary = require("webkit2gtk-driver", next(map(str, Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), None))
    screen = require("xvfb", shutil.which("Xvfb"))
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "webkit.log"
    command = f'exec "{screen}" -displayfd 1 -nolisten tcp -screen 0 1280x800x24 2>/dev/null'
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(_running(["sh", "-c", command], subprocess.PIPE))
        assert display.stdout is not None
        environment = os.environ | {"HOME": str(folder), "DISPLAY": f":{display.stdout.readline().decode().strip()}"}
        output = stack.enter_context(log.open("wb"))
        stack.enter_context(_running([driver, f"--port={port}"], output, environment))
        wait_until(lambda: _listens(port), 10, "WebKit's driver to listen")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        yield WebKit(stack.enter_context(contextlib.closing(connection)), binary, log)


@contextlib.contextmanager
def _running(
    command: list[str], output: Any, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        browser.stop_session(process)
        if process.stdout is not None:
            process.stdout.close()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
