"""Rights: the need of a route as one value, which is enforced and documented.

A channel can contain variables of the route's path: ``Publish("user:<user>")``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..extensions import simulcast
from ..flask_simulcast import ForbiddenError, Grant, UnauthorizedError
from ..web.right import Access, Right
from .requests import check_open

_VARIABLE = re.compile(r"<(\w+)>")


class _OnChannel(Right):
    """A right on one channel.

    Args:
        channel: Name of the channel.
        checks: For a variable in it, a function of its text that returns the text for the channel, or raises an `ApiError`.
    """

    verb = ""

    def __init__(self, channel: str, **checks: Callable[[str], str]) -> None:
        self.text = f"`{self.verb}` on `{channel}`"
        self._channel = channel
        self._checks = checks

    def channel(self, path: Mapping[str, str]) -> str:
        """Return the channel's name for this path."""
        values = {name: self._checks.get(name, str)(value) for name, value in path.items()}
        return _VARIABLE.sub(lambda variable: values[variable[1]], self._channel)


class Publish(_OnChannel):
    """The right to publish to a channel. ``flask_simulcast.grant`` says what reserved names mean here."""

    access = Access.GRANTED
    verb = "publish"

    def require(self, path: Mapping[str, str]) -> Grant:
        check_open()
        return simulcast.require_publish([self.channel(path)])


class Subscribe(_OnChannel):
    """The right to read a channel's history and members."""

    access = Access.READ
    verb = "subscribe"

    def require(self, path: Mapping[str, str]) -> Grant:
        return simulcast.require_subscribe([self.channel(path)], spends_ticket=False)


class Listen(Subscribe):
    """The right to stream a channel. A ticket is accepted, too."""

    access = Access.LISTEN


class Identity(Right):
    """The need of a known client: a user, or the holder of the publish key."""

    access = Access.GRANTED
    text = "a token in a header or a cookie"

    def require(self, path: Mapping[str, str]) -> Grant:
        grant = simulcast.grant()
        if grant.is_anonymous:
            raise UnauthorizedError("This needs a token. Send one in the header Authorization: Bearer <token>.")
        return grant


class PublishEach(Identity):
    """The right to publish to each channel that a body names. Before the body is read, any right to publish is enough.

    Args:
        names: Returns the channels of a parsed body.
    """

    text = "`publish` on each channel"

    def __init__(self, names: Callable[[Any], Iterable[str]]) -> None:
        self._names = names

    def require(self, path: Mapping[str, str]) -> Grant:
        check_open()
        grant = super().require(path)
        if grant.publish:
            return grant
        raise ForbiddenError("Your token does not let you publish to anything. Get one that does.", "not_granted")

    def require_for(self, body: Any) -> None:
        simulcast.require_publish(self._names(body))


class Both(Right):
    """Two rights, checked in this order."""

    access = Access.GRANTED

    def __init__(self, first: Right, second: Right) -> None:
        self.text = f"{first.text} and {second.text}"
        self._first, self._second = first, second

    def require(self, path: Mapping[str, str]) -> Grant:
        self._first.require(path)
        return self._second.require(path)
