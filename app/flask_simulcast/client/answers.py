"""What an answer of a server says, other than a stream."""

from __future__ import annotations

import http.client
import json
from typing import Any

from .backoff import retry_after_seconds
from .errors import ClientError, RefusedError, UnreachableError

_MAX_BYTES = 4 << 20
WORTH_A_RETRY = frozenset({408, 425, 429})
_REASONS = {401: "unauthorized", 403: "forbidden"}


def body_of(response: http.client.HTTPResponse) -> Any:
    """Return the JSON of a body of up to 4 MiB; None if it is not JSON, such as a proxy's page.

    Raises:
        UnreachableError: The body does not come.
    """
    try:
        text = response.read(_MAX_BYTES)
        if response.length:  # of a Content-Length, what has not come
            raise http.client.IncompleteRead(text, response.length)
        return json.loads(text)
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"The answer is cut off or too long: {str(error) or type(error).__name__}.", reason="lost"
        ) from None
    except (ValueError, RecursionError):
        return None


def refusal(response: http.client.HTTPResponse) -> ClientError:
    """Return the error that an answer is, with the words of the server.

    Raises:
        UnreachableError: The answer is cut off.
    """
    status, body = response.status, body_of(response)
    told = body.get("error") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else {}
    reason = _REASONS.get(status) or str(told.get("code") or f"http_{status}")[:64]
    message = f"{status}: {str(told.get('message') or response.reason)[:300]}"
    if 300 <= status < 400:
        message += f". It is at {str(response.headers.get('Location'))[:200]!a}: use that URL."
    if status >= 500 or status in WORTH_A_RETRY:
        seconds = retry_after_seconds(response.headers.get("Retry-After"))
        return UnreachableError(message, reason=reason, retry_after=seconds)
    return RefusedError(message, reason=reason)
