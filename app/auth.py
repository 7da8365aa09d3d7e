"""Who may do what: a bearer key for all, anonymous listening to the channels that are configured."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from flask import current_app, request

from .errors import ApiError

_RESERVED = ("user:", "listener:", "presence:")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def require_publish() -> None:
    """Let the request pass only with the key.

    Raises:
        ApiError: 403 where no key is configured, 401 without it or with another.
    """
    if not current_app.config["SIMULCAST_PUBLISH_KEY"]:
        raise ApiError(
            403, "publish_closed", "Publishing is closed here. Set SIMULCAST_PUBLISH_KEY and send it as a bearer token."
        )
    if not _has_key():
        raise ApiError(
            401, "no_key", "This needs a key. Send it in the header Authorization: Bearer <key>.", _CHALLENGE
        )


def require_listen(channels: Iterable[str]) -> None:
    """Let the request pass if all these channels are open to anyone, or with the key.

    Raises:
        ApiError: 401.
    """
    patterns = current_app.config["SIMULCAST_ANONYMOUS_CHANNELS"]
    closed = [channel for channel in channels if not any(_matches(pattern, channel) for pattern in patterns)]
    if closed and not _has_key():
        raise ApiError(
            401,
            "no_grant",
            f"Not everyone may listen to {closed[0][:128]!a}. Send a key in the header Authorization: Bearer <key>, "
            "or name the channel in SIMULCAST_ANONYMOUS_CHANNELS.",
            _CHALLENGE,
        )


def _has_key() -> bool:
    key = current_app.config["SIMULCAST_PUBLISH_KEY"]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return bool(key) and scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), key.encode())


def _matches(pattern: str, channel: str) -> bool:
    if not pattern.endswith("*"):
        return pattern == channel
    return channel.startswith(pattern[:-1]) and not channel.startswith(_RESERVED)
