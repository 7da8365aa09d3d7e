"""Local: a small model on this machine, in a child process of the worker. It starts with the first question, and again with the
next one after it has died."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Generator
from multiprocessing.connection import wait
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from ...flask_simulcast import RunFailedError
from ...work import model
from . import schemas
from .answers import Answer
from .echo import Echo
from .questions import Question
from .upstream import Upstream

NAME = "smollm2-135m-instruct"
#: Answers of a worker that the model makes, or that wait for it. A further question is refused.
MOST_ANSWERS = 8
# It usually starts within 2 seconds.
_START_SECONDS = 60.0


class _Child(NamedTuple):
    """The process, and how to ask it."""

    process: Any
    upstream: Upstream


class Local:
    """Asks the model in the child process; and echo, which is there as well.

    Args:
        weights: File of the model.
    """

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._echo = Echo()
        self._starting = threading.Lock()
        self._child: _Child | None = None
        self._answers = 0

    def models(self) -> list[schemas.Model]:
        """As `Source.models`."""
        return [schemas.Model(NAME, 0, "simulcast"), *self._echo.models()]

    def check(self, question: Question) -> None:
        """As `Source.check`."""
        if question.model != NAME:
            self._echo.check(question)

    def chunks(self, question: Question, answer: Answer) -> Generator[dict[str, Any], None, None]:
        """As `Source.chunks`."""
        if question.model != NAME:
            yield from self._echo.chunks(question, answer)
            return
        if self._answers >= MOST_ANSWERS:
            raise RunFailedError("The model has more questions than it can answer. Try again later.", "upstream_busy")
        self._answers += 1
        try:
            yield from self._upstream().chunks(question, answer)
        finally:
            self._answers -= 1

    def _upstream(self) -> Upstream:
        """Return the way to the child, which is started if there is none. Switches."""
        with self._starting:
            if self._child is None or wait([self._child.process.sentinel], 0):
                self._child = _start(self._weights)
            return self._child.upstream


def _start(weights: Path) -> _Child:
    """Start the child, and wait until it can answer. Switches.

    Raises:
        RunFailedError: It ended, or it takes too long.
    """
    spawn = multiprocessing.get_context(
        "spawn"
    )  # a forked child would have the worker's sockets, greenlets and patches
    ours, theirs = spawn.Pipe(duplex=False)
    key = token_hex(16)
    process = spawn.Process(target=model.serve, args=(theirs, str(weights), NAME, key), name="model", daemon=True)
    process.start()
    theirs.close()
    with ours:
        try:
            if ours in wait([ours], _START_SECONDS):
                return _Child(process, Upstream(f"{ours.recv()}/v1", key))
        except EOFError:
            pass
    process.kill()
    raise RunFailedError("The model of this machine does not start. Tell the operator.", "upstream_unavailable")
