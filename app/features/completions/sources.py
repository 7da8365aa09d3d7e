"""Sources: where answers come from. The settings choose one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from flask import Flask, current_app

from . import schemas
from .answers import Answer
from .echo import Echo
from .questions import Question

_KEY = "completions_source"


class Source(Protocol):
    """Makes answers."""

    def models(self) -> list[schemas.Model]:
        """Return the models that it has. May switch."""

    def check(self, question: Question) -> None:
        """Check that it has the model.

        Raises:
            ApiError: 404 ``model_not_found``.
        """

    def chunks(self, question: Question, answer: Answer) -> Generator[dict[str, Any], None, None]:
        """Yield the answer as OpenAI's chunks, with the usage as the last one. Their ids are replaced. Switches.

        Raises:
            RunFailedError: There is no answer, or it ends here.
        """


def init_app(app: Flask) -> None:
    """Make the source."""
    url, key = app.config["SIMULCAST_COMPLETIONS_URL"], app.config["SIMULCAST_COMPLETIONS_KEY"]
    app.extensions[_KEY] = _upstream(url, key) if url else Echo()


def _upstream(url: str, key: str) -> Source:
    from .upstream import Upstream  # the import takes 20 ms

    return Upstream(url, key)


def here() -> Source:
    """Return the source of the current app."""
    source: Source = current_app.extensions[_KEY]
    return source
