"""Small requests, one after the other, while the server does something else."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from typing import NamedTuple


class Answer(NamedTuple):
    """The answer to one request.

    Attributes:
        at: Monotonic seconds at which it was asked for.
        ms: Its duration.
    """

    at: float
    ms: float


def answers(port: int, path: str, pause_seconds: float, is_going_on: Callable[[], bool]) -> list[Answer]:
    """Ask for a path with a pause before each request. Return the answers.

    Raises:
        RuntimeError: An answer had another status than 200.
    """
    asked = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        while is_going_on():
            time.sleep(pause_seconds)
            start = time.monotonic()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            asked.append(Answer(start, (time.monotonic() - start) * 1000))
            if answer.status != 200:
                raise RuntimeError(f"{path} was answered {answer.status}.")
    return asked
