"""What the tests ask of a browser, whichever it is: to open pages, and to evaluate JavaScript in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from tests.tools.serving import wait_until


class Page(ABC):
    """A tab."""

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """What the browser has found wrong since the page was opened: errors of scripts, of loading, and of its policy."""

    @abstractmethod
    def show(self) -> None:
        """Bring the tab to the front: some libraries leave their stream while it is hidden."""

    @abstractmethod
    def close(self) -> None:
        """Close the tab."""

    @abstractmethod
    def load_again(self) -> None:
        """Begin to load the page anew."""

    def reload(self) -> None:
        """Load the page anew, and wait until it is there."""
        self.evaluate("window.isOld = true")
        self.load_again()
        self.wait_for("!window.isOld && document.readyState === 'complete'")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no code of the page run meanwhile, where the browser can be told so."""
        yield

    def wait_for(self, condition: str, seconds: float = 10) -> Any:
        """Wait until a JavaScript expression is true. Returns its value."""

        def value() -> Any:
            try:
                return self.evaluate(condition)
            except PageIsLeftError:
                return None

        return wait_until(value, seconds, condition)


class PageIsLeftError(Exception):
    """The page went away before the expression had a value."""


class Browser(ABC):
    """One browser with a profile of its own."""

    name: str

    @abstractmethod
    def open(self, url: str) -> Page:
        """A new tab; returns when the page and its modules have been loaded."""


def stop_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session of a browser: a clean end would take two seconds, for a profile that is not used again."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not _is_alive(process.pid), 10, "the browser's processes to be gone")


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
