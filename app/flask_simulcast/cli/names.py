"""Names that a command is given."""

from __future__ import annotations

from collections.abc import Sequence

from ..event import USER_PREFIX, check_channel, check_user
from .group import RefusedError


def readable(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of channels to read, each once. A user's channel is ``user:`` and any name.

    Raises:
        ChannelNameError: One of them is no channel.
    """
    for name in channels:
        if name.startswith(USER_PREFIX):
            check_user(name.removeprefix(USER_PREFIX))
        else:
            check_channel(name)
    return tuple(dict.fromkeys(channels))


def split_pattern(pattern: str) -> tuple[str, bool]:
    """Return the beginning that a pattern asks for, and whether other names may begin with it too.

    Raises:
        RefusedError: It has a star before its end.
    """
    prefix = pattern.removesuffix("*")
    if "*" in prefix:
        raise RefusedError(f"{pattern[:64]!a} has a star before its end. Put it at the end: 'chat.*'")
    return prefix, prefix != pattern
