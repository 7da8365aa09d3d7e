"""A real headless Chromium, told what to do through the DevTools protocol over a pair of pipes.

Pipes, not the websocket on a port: nothing has to be installed, no port has to be found, and no other process
can connect.

Source: the protocol's "Target" and "Runtime" domains; messages end with a NUL byte.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tools import browser
from tests.tools.require import require

_FLAGS = [
    "--headless",
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--remote-debugging-pipe",
]
_ANSWER_SECONDS = 20


class Page(browser.Page):
    """A tab of Chromium."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session

    def evaluate(self, expression: str) -> Any:
        answer = self._chromium.call(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
            self._session,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        for domain in ("Log", "Runtime"):  # each tells first what came before
            self._chromium.call(f"{domain}.enable", session=self._session)
        return [
            _complaint(told)
            for told in self._chromium.told
            if told.get("sessionId") == self._session and _is_wrong(told)
        ]

    def show(self) -> None:
        self._chromium.call("Page.bringToFront", session=self._session)

    def close(self) -> None:
        self._chromium.call("Page.close", session=self._session)

    def load_again(self) -> None:
        self._chromium.call("Page.reload", session=self._session)

    def look(self, width: int, height: int, *, is_dark: bool) -> None:
        """Give the tab the size of a window, and the colours that a user likes. Nothing moves, so colours change at once."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._chromium.call("Emulation.setDeviceMetricsOverride", size, self._session)
        likes = {"prefers-color-scheme": "dark" if is_dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in likes.items()]
        self._chromium.call("Emulation.setEmulatedMedia", {"features": features}, self._session)

    def begin_each_document_with(self, script: str) -> None:
        """Run a script before those of each document that the tab loads from now on."""
        self._chromium.call("Page.enable", session=self._session)
        self._chromium.call("Page.addScriptToEvaluateOnNewDocument", {"source": script}, self._session)

    def go(self, url: str) -> None:
        """Load another page, and wait until it is there."""
        self._chromium.call("Page.navigate", {"url": url}, self._session)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'", 20)

    def heap_bytes(self) -> int:
        """What its scripts hold, without garbage."""
        self._chromium.call("HeapProfiler.collectGarbage", session=self._session)
        return int(self._chromium.call("Runtime.getHeapUsage", session=self._session)["usedSize"])

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self._chromium.call("Page.setWebLifecycleState", {"state": "frozen"}, self._session)
        yield
        self._chromium.call("Page.setWebLifecycleState", {"state": "active"}, self._session)


_IS_LEFT = "Inspected target navigated or closed"


class Chromium(browser.Browser):
    """One browser with a profile of its own. Use `open_chromium`.

    Attributes:
        told: What it has told unasked.
    """

    name = "chromium"

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._numbers = itertools.count(1)
        self._unread = b""
        self._profile: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []

    def open(self, url: str) -> Page:
        target = self.call("Target.createTarget", {"url": url} | self._profile)["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        page.wait_for(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'", 20)
        return page

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Chromium]:
        """Pages that are opened meanwhile have a profile of their own, as in a private window. They are closed at the end."""
        self._profile = {"browserContextId": self.call("Target.createBrowserContext")["browserContextId"]}
        try:
            yield self
        finally:
            self.call("Target.disposeBrowserContext", self._profile)
            self._profile = {}

    def grant(self, *permissions: str) -> None:
        """Let its pages do this without a question to the user."""
        self.call("Browser.grantPermissions", {"permissions": list(permissions)} | self._profile)

    def call(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            answer = self._next_message(deadline)
            if answer.get("id") == number:
                error = answer.get("error", {})
                if _IS_LEFT in error.get("message", ""):
                    raise browser.PageIsLeftError
                assert not error, f"{method}: {error}"
                return dict(answer["result"])
            self.told.append(answer)

    def _next_message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            remaining = max(deadline - time.monotonic(), 0)
            assert select.select([self._answers], [], [], remaining)[0], "Chromium does not answer"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium has ended"
            self._unread += piece
        text, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(text))


@contextlib.contextmanager
def open_chromium(folder: Path, *flags: str) -> Iterator[Chromium]:
    """Start Chromium with its profile in ``folder``, and stop it and all its processes at the end."""
    # The shell is Chromium without windows: it starts with a fifth of the CPU, and opens a tab with a third.
    binary = require("chromium", shutil.which("chromium-headless-shell") or shutil.which("chromium"))
    folder.mkdir(parents=True, exist_ok=True)
    read_by_it, commands = os.pipe()
    answers, written_by_it = os.pipe()
    # It reads from descriptor 3 and writes to 4; dash can't duplicate one that has two digits.
    place = f'exec "$0" "$@" 3</proc/self/fd/{read_by_it} 4>/proc/self/fd/{written_by_it}'
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", place, binary, *_FLAGS, f"--user-data-dir={folder}", *flags, "about:blank"],
            env=os.environ | {"HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(read_by_it, written_by_it),
            start_new_session=True,
        )
    os.close(read_by_it)
    os.close(written_by_it)
    try:
        yield Chromium(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        browser.stop_session(process)


def _is_wrong(told: dict[str, Any]) -> bool:
    parameters = told["params"]
    level = parameters.get("entry", {}).get("level") or parameters.get("type")
    return told["method"] == "Runtime.exceptionThrown" or level == "error"


def _complaint(told: dict[str, Any]) -> str:
    parameters = told["params"]
    return str(parameters.get("entry") or parameters.get("exceptionDetails") or parameters.get("args"))
