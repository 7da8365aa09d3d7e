"""Grant: the user behind a client, and the channels that the client may listen to and publish to.

A pattern is a channel's name, or the beginning of one with a star at its end: ``chat.*``. ``{sub}`` in it stands for
the user. Neither a star nor a user's name matches a reserved name by accident: for ``presence:``, ``user:``,
``listener:`` and ``run:`` the pattern must spell the prefix out (``presence:chat.*``), and ``all`` must be named. Only
listening to ``all`` needs no pattern of its own: every listener receives it anyway.

With reserved names, a grant's ``publish`` list says what the client may do to others: ``all`` allows it to broadcast,
``user:bob`` to send to Bob and to revoke his grants, ``listener:*`` to send to single connections and to kick them. In
``subscribe``, ``listener:*`` allows it to list connections, ``presence:chat.*`` to see the members of those channels, and
``run:*`` to watch the runs of all users.

An app can reserve prefixes of its own with ``Simulcast(reserved=("jobs.",))``. Then ``*`` does not match ``jobs.1``, and
``presence:*`` does not match ``presence:jobs.1``, but ``jobs.*`` and ``presence:jobs.*`` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from .data import Default, encode_data
from .event import ALL, PRESENCE_PREFIX, RESERVED_PREFIXES, check_user

_SUBJECT = "{sub}"
# Most requests ask the same again: that takes 1 µs instead of 9. A longer name is no channel's.
_MAX_REMEMBERED = 4096
_MAX_REMEMBERED_CHARACTERS = 256


@dataclass(frozen=True, init=False)
class Grant:
    """What a client may do, and until when.

    Give patterns as one name or several, in a list or any other iterable. They are kept as tuples.

    Attributes:
        user: Name of the user; empty for none. The client receives what is sent to this user, and is present under this name.
        subscribe: Patterns of channels that the client may listen to.
        publish: Patterns of channels that the client may publish to.
        meta: JSON data that others see of this listener, in presence and in lists.
        expires_at: Unix seconds at which the client's streams end; None for no end.
        issued_at: Unix seconds at which the grant was issued. A revocation ends grants issued before it; 0 is before all.
        token_id: Id of the token that the grant came from, so that this token alone can be revoked. Empty for none.
        ticket: Name of the ticket that the grant came through; a ticket lets in one stream at a time. Empty for none.
        redeemed_at: Unix seconds at which the ticket was redeemed.

    Raises:
        ChannelNameError: The user name is invalid.
    """

    user: str = ""
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    expires_at: float | None = None
    issued_at: float = 0
    token_id: str = ""
    ticket: str = ""
    redeemed_at: float = 0

    def __init__(
        self,
        user: str = "",
        subscribe: str | Iterable[str] = (),
        publish: str | Iterable[str] = (),
        meta: Mapping[str, Any] | None = None,
        expires_at: float | None = None,
        issued_at: float = 0,
        token_id: str = "",
        *,
        ticket: str = "",
        redeemed_at: float = 0,
    ) -> None:
        if user:
            check_user(user)
        values = {
            "user": user,
            "subscribe": _patterns(subscribe),
            "publish": _patterns(publish),
            "meta": {} if meta is None else meta,
            "expires_at": expires_at,
            "issued_at": issued_at,
            "token_id": token_id,
            "ticket": ticket,
            "redeemed_at": redeemed_at,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def may_subscribe(self, channel: str, reserved: tuple[str, ...] = ()) -> bool:
        """Tell whether the client may listen to a channel and read its history. Every listener receives ``all``, so a client
        that may be one may name it.

        Args:
            reserved: Prefixes that the app has reserved. `Simulcast.require_subscribe` passes them.
        """
        if channel == ALL and (self.subscribe or not self.is_anonymous):
            return True
        return matches_any(self.subscribe, channel, self.user, reserved)

    def may_publish(self, channel: str, reserved: tuple[str, ...] = ()) -> bool:
        """Tell whether the client may publish to a channel. The top of this module says what reserved names mean.

        Args:
            reserved: As in `may_subscribe`.
        """
        return matches_any(self.publish, channel, self.user, reserved)

    @property
    def is_anonymous(self) -> bool:
        """Whether the grant has no user, no token and no right to publish."""
        return not (self.user or self.token_id or self.publish)

    @cached_property
    def revocable_as(self) -> tuple[str, ...]:
        """The names under which a revocation ends the grant."""
        return tuple(f"{kind}:{name}" for kind, name in (("user", self.user), ("token", self.token_id)) if name)

    def to_json(self, default: Default | None = None) -> str:
        """Return JSON text, to store with a ticket.

        Args:
            default: As in `encode_data`. ``meta`` can hold anything that the app's JSON can write.
        """
        return encode_data(asdict(self), default)

    @classmethod
    def from_json(cls, text: str) -> Grant:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def _patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def matches_any(patterns: tuple[str, ...], channel: str, user: str = "", reserved: tuple[str, ...] = ()) -> bool:
    """Tell whether one of these patterns matches a channel."""
    decide = _is_matched if len(channel) <= _MAX_REMEMBERED_CHARACTERS else _is_matched.__wrapped__
    return decide(patterns, channel, user, reserved)


@lru_cache(_MAX_REMEMBERED)
def _is_matched(patterns: tuple[str, ...], channel: str, user: str, reserved: tuple[str, ...]) -> bool:
    return any(matches(pattern, channel, user, reserved) for pattern in patterns)


def matches(pattern: str, channel: str, user: str = "", reserved: tuple[str, ...] = ()) -> bool:
    """Tell whether a pattern matches a channel. Pure.

    A star counts only at the end of the pattern itself: a user whose name is ``*`` gains nothing by it.

    Args:
        reserved: Prefixes that the app has reserved, besides those of the extension.
    """
    is_open = pattern.endswith("*")
    text = pattern[:-1] if is_open else pattern
    if _SUBJECT in text:
        if not user:
            return False
        text = text.replace(_SUBJECT, user)
    is_meant = channel.startswith(text) if is_open else channel == text
    return is_meant and _is_spelled_out(pattern, channel, reserved)


def _is_spelled_out(pattern: str, channel: str, reserved: tuple[str, ...]) -> bool:
    """Tell whether a pattern may match this name: for a reserved name, the pattern as written must begin with its prefix,
    whatever the user's name is."""
    if channel == ALL:
        return pattern == ALL
    if not _begin_alike(pattern, channel, RESERVED_PREFIXES):
        return False
    # The presence channel of a reserved name is reserved, too. Both have the prefix ``presence:``, so compare what follows it.
    pattern, channel = pattern.removeprefix(PRESENCE_PREFIX), channel.removeprefix(PRESENCE_PREFIX)
    return _begin_alike(pattern, channel, reserved)


def _begin_alike(pattern: str, channel: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether the pattern begins with every prefix that the channel begins with. Nearly all channels begin with none."""
    return not channel.startswith(prefixes) or all(
        pattern.startswith(prefix) for prefix in prefixes if channel.startswith(prefix)
    )
