"""Upstream: another server that speaks OpenAI's protocol. One connection for each answer, which is closed with it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from typing import Any

import gevent
import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from ...flask_simulcast import RunFailedError, SSEReader
from ...web.errors import ApiError
from . import chunks, schemas
from .answers import Answer
from .questions import Question

_CONNECT_SECONDS = 5.0
#: Longest wait for the first token: a large model reads a long question for a minute. And between two tokens.
FIRST_SECONDS = 120.0
NEXT_SECONDS = 30.0
_TRIES = 3
_RETRY_SECONDS = 0.3
# Without an event in that many bytes the stream is no answer.
_MOST_PENDING_BYTES = 1 << 20
_PIECE_BYTES = 64 << 10
_MODELS_BYTES = 1 << 20
_DONE = "[DONE]"
# Answers of an upstream that is not ready: nothing has been said yet, so the same question can be asked again.
_AGAIN = frozenset({502, 503, 504})
# The question is longer than the model reads, for example.
_REFUSED = frozenset({400, 413, 422})
_CODES = {401: "upstream_unauthorized", 403: "upstream_unauthorized", 404: "model_not_found", 429: "upstream_busy"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Upstream:
    """Asks a server.

    Args:
        url: Its base, with its ``/v1``.
        key: Its key; empty for none. It is in no log and in no error.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def models(self) -> list[schemas.Model]:
        """As `Source.models`.

        Raises:
            ApiError: 502: the upstream does not say.
        """
        with urllib3.PoolManager(retries=False) as pool:
            try:
                timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_CONNECT_SECONDS)
                answer = pool.request(
                    "GET", f"{self._url}/models", headers=self._headers, timeout=timeout, preload_content=False
                )
                if answer.status != 200:
                    raise ApiError(502, "upstream_status", f"The upstream answered {answer.status}. Look at its log.")
                listed = _decode(answer.read(_MODELS_BYTES))
                return [
                    schemas.Model(str(one["id"]), int(one.get("created") or 0), "upstream") for one in listed["data"]
                ]
            except HTTPError:
                raise ApiError(502, "upstream_unavailable", "The upstream can't be reached. Try again later.") from None
            except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
                raise ApiError(502, "upstream_garbage", "The upstream's list of models can't be read.") from None

    def check(self, question: Question) -> None:
        """The upstream knows its models itself."""

    def chunks(self, question: Question, answer: Answer) -> Generator[dict[str, Any], None, None]:
        """As `Source.chunks`."""
        body = json.dumps({**question.fields, "stream": True, "stream_options": {"include_usage": True}}).encode()
        with answer.may_interrupt(), urllib3.PoolManager(retries=False) as pool:
            response = self._ask(pool, body)
            try:
                yield from self._events(response)
            finally:
                response.close()

    def _ask(self, pool: urllib3.PoolManager, body: bytes) -> urllib3.BaseHTTPResponse:
        """Send the question, up to three times while nothing is answered. Switches."""
        headers = {**self._headers, "Content-Type": "application/json", "Accept": "text/event-stream"}
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=None)  # or each read would have two timers
        for tried in range(1, _TRIES + 1):
            try:
                with gevent.Timeout(FIRST_SECONDS):
                    response = pool.request(
                        "POST",
                        f"{self._url}/chat/completions",
                        body=body,
                        headers=headers,
                        timeout=timeout,
                        preload_content=False,
                        redirect=False,
                    )
            except gevent.Timeout:
                raise _silent() from None
            except HTTPError:
                if tried == _TRIES:
                    raise RunFailedError(
                        "The model's server can't be reached. Try again later.", "upstream_unavailable"
                    ) from None
            else:
                if response.status == 200:
                    return response
                response.close()
                if response.status not in _AGAIN or tried == _TRIES:
                    raise _refused(response.status)
            time.sleep(_RETRY_SECONDS * tried)
        raise AssertionError

    def _events(self, response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a stream, which must end with ``[DONE]``. Switches."""
        reader, pending = SSEReader(), 0
        deadline = time.monotonic() + FIRST_SECONDS
        while piece := _piece(response, deadline):
            pending += len(piece)
            events = reader.feed(piece)
            for event in events:
                if event.data == _DONE:
                    return
                yield chunks.parse(event.data)
            if events:
                pending, deadline = 0, time.monotonic() + NEXT_SECONDS
            if pending > _MOST_PENDING_BYTES:
                raise chunks.garbage()
        raise _ended()


def _piece(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the next bytes; none at the end. Comments do not move the deadline. Switches."""
    try:
        with gevent.Timeout(max(deadline - time.monotonic(), 0.001)):
            return response.read1(_PIECE_BYTES)
    except gevent.Timeout:
        raise _silent() from None
    except (HTTPError, OSError, ValueError):
        raise _ended() from None


def _refused(status: int) -> RunFailedError:
    if status in _REFUSED:
        return RunFailedError(f"The model's server refused the question ({status}). Ask for less.", "upstream_refused")
    code = _CODES.get(status, "upstream_status")
    return RunFailedError(f"The model's server answered {status}. Try again later.", code)


def _ended() -> RunFailedError:
    return RunFailedError("The model's server ended its answer in the middle. Ask again.", "upstream_cut")


def _silent() -> RunFailedError:
    return RunFailedError("The model's server did not answer in time. Ask again.", "upstream_timeout")
