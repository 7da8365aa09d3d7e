"""Channel names from a view or a client: check them, and log an invalid name once for each endpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from flask import has_request_context, request

from .errors import ChannelCountError, ChannelNameError, client_input
from .event import check_channel

_log = logging.getLogger("flask_simulcast")
_logged: set[str | None] = set()  # endpoints, so it is bounded


def checked_channels(channels: str | Iterable[str], limit: int) -> tuple[str, ...]:
    """Return these names, sorted, each once.

    Args:
        channels: One name or several.
        limit: Maximum number of names.

    Raises:
        ChannelCountError: There is no name, or there are more than the limit.
        ChannelNameError: One of them is invalid.
    """
    given = [channels] if isinstance(channels, str) else list(channels)
    with client_input():
        if not 1 <= len(given) <= limit:
            raise ChannelCountError(f"{len(given)} channels were named. Name 1 to {limit}.")
    return tuple(sorted({checked_channel(name) for name in given}))


def checked_channel(name: str) -> str:
    """Return this name, if it is a valid channel name.

    An invalid name usually comes from the client. If it comes from the view's own code, the view's author finds it in the log.

    Raises:
        ChannelNameError: It is not.
    """
    try:
        with client_input():
            return check_channel(name)
    except ChannelNameError as error:
        endpoint = request.endpoint if has_request_context() else None
        if endpoint not in _logged:
            _logged.add(endpoint)
            _log.warning("%s was asked for a channel that can't be one. %s", endpoint or "A call", error)
        raise
