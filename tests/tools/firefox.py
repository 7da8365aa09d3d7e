"""A real headless Firefox, told what to do by WebDriver BiDi, which it speaks by itself on a port that it chooses.

Source: W3C, WebDriver BiDi: the modules "session", "browsingContext", "script" and "log".
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.tools import browser
from tests.tools.require import require
from tests.tools.serving import wait_until

_ANSWER_SECONDS = 20
_IS_LEFT = ("AbortError", "no such frame", "DiscardedBrowsingContextError")


class Page(browser.Page):
    """A tab of Firefox."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def evaluate(self, expression: str) -> Any:
        target = {"context": self._context}
        answer = self._firefox.call("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer["exceptionDetails"]
        return _value_of(answer["result"])

    def complaints(self) -> list[str]:
        entries = [told["params"] for told in self._firefox.told if told["method"] == "log.entryAdded"]
        return [
            str(entry["text"])
            for entry in entries
            if entry["level"] == "error" and entry["source"].get("context") == self._context
        ]

    def show(self) -> None:
        self._firefox.call("browsingContext.activate", context=self._context)

    def close(self) -> None:
        self._firefox.call("browsingContext.close", context=self._context)

    def load_again(self) -> None:
        self._firefox.call("browsingContext.reload", context=self._context, wait="none")


class Firefox(browser.Browser):
    """One browser with a profile of its own. Use `open_firefox`.

    Attributes:
        told: What it has told unasked.
    """

    name = "firefox"

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.told: list[dict[str, Any]] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])

    def open(self, url: str) -> Page:
        context = self.call("browsingContext.create", type="tab")["context"]
        self.call("browsingContext.navigate", context=context, url=url, wait="complete")
        return Page(self, context)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(_ANSWER_SECONDS))
            if answer.get("id") != number:
                self.told.append(answer)
                continue
            if answer["type"] == "error" and any(sign in str(answer) for sign in _IS_LEFT):
                raise browser.PageIsLeftError
            assert answer["type"] == "success", f"{method}: {answer}"
            return dict(answer["result"])


@contextlib.contextmanager
def open_firefox(folder: Path) -> Iterator[Firefox]:
    """Start Firefox with its profile in ``folder``, and stop it and all its processes at the end."""
    binary = require("firefox", shutil.which("firefox-esr") or shutil.which("firefox"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "firefox.log").open("wb") as log:
        process = subprocess.Popen(
            [binary, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"],
            env=os.environ | {"HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        port = wait_until(lambda: _port_of(folder), 30, "Firefox to listen")
        with connect(f"ws://127.0.0.1:{port}/session", max_size=None, proxy=None, compression=None) as socket:
            yield Firefox(socket)
    finally:
        browser.stop_session(process)


def _port_of(folder: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return int(json.loads((folder / "WebDriverBiDiServer.json").read_text())["ws_port"])
    return None


def _value_of(remote: dict[str, Any]) -> Any:
    """The value that BiDi describes."""
    value = remote.get("value")
    if remote["type"] == "array":
        return [_value_of(each) for each in value or []]
    if remote["type"] == "object":
        return {name: _value_of(each) for name, each in value or []}
    return value
