"""Grant: who somebody is, and which channels they may listen to and publish to.

A pattern is a channel's name, or the beginning of one with a star at its end: ``chat.*``. ``{sub}`` in it stands for
the user. Neither a star nor a user's name reaches a reserved name by accident: for ``presence:``, ``user:`` and
``listener:`` the pattern must spell the prefix out (``presence:chat.*``), and ``all`` must be named. Only to listen to ``all`` needs no pattern: every listener gets it anyway.

What a grant's ``publish`` list says of reserved names is what one may do to people: ``all`` is to broadcast, ``user:bob``
is to send to Bob and to revoke his grants, ``listener:*`` is to send to single connections and to kick them.
``listener:*`` in ``subscribe`` is to list them, ``presence:chat.*`` to see who is there.

An app may reserve prefixes of its own, by ``Simulcast(reserved=("jobs.",))``: then ``*`` does not mean ``jobs.1``, and ``presence:*``
not ``presence:jobs.1``, but ``jobs.*`` and ``presence:jobs.*`` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .event import ALL, PRESENCE_PREFIX, RESERVED_PREFIXES, Default, check_user, encode_data

_SUBJECT = "{sub}"


@dataclass(frozen=True, init=False)
class Grant:
    """What somebody may do, and until when.

    Patterns may be given as one name or several, in a list or any other iterable; kept are tuples.

    Attributes:
        user: Who it is; empty for one without a name. Gets what is sent to this user, and is present under it.
        subscribe: Patterns of channels that one may listen to.
        publish: Patterns of channels that one may publish to.
        meta: Told to others who see this listener, in presence and in lists. JSON.
        expires_at: Unix seconds at which its streams end; None for one without an end.
        issued_at: Unix seconds. A revocation ends what was issued before it; 0 is before all.
        token_id: Names the token it came from, so that this one alone can be revoked. Empty for none.
        ticket: Names the ticket it came through, which lets in one stream at a time. Empty for none.
        redeemed_at: Unix seconds at which that was.

    Raises:
        ChannelNameError: The user can't be somebody's name.
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
        """Whether one may listen to it, and read its history. ``all`` reaches every listener, so whoever may be one may name it.

        Args:
            reserved: Prefixes that the app has reserved; `Simulcast.require_subscribe` knows them.
        """
        if channel == ALL and (self.subscribe or not self.is_anonymous):
            return True
        return matches_any(self.subscribe, channel, self.user, reserved)

    def may_publish(self, channel: str, reserved: tuple[str, ...] = ()) -> bool:
        """Whether one may publish to it; for reserved names, what the module says.

        Args:
            reserved: As in `may_subscribe`.
        """
        return matches_any(self.publish, channel, self.user, reserved)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody knows who this is."""
        return not (self.user or self.token_id or self.publish)

    @property
    def revocable_as(self) -> tuple[str, ...]:
        """The names under which a revocation ends it."""
        return tuple(f"{kind}:{name}" for kind, name in (("user", self.user), ("token", self.token_id)) if name)

    def to_json(self, default: Default | None = None) -> str:
        """For a ticket, which keeps it for a while.

        Args:
            default: As of `encode_data`: meta holds what the app's JSON can write.
        """
        return encode_data(asdict(self), default)

    @classmethod
    def from_json(cls, text: str) -> Grant:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


def _patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def matches_any(patterns: Iterable[str], channel: str, user: str = "", reserved: tuple[str, ...] = ()) -> bool:
    """Whether one of these patterns means this channel."""
    return any(matches(pattern, channel, user, reserved) for pattern in patterns)


def matches(pattern: str, channel: str, user: str = "", reserved: tuple[str, ...] = ()) -> bool:
    """Whether a pattern means this channel. Pure.

    A star counts only where the pattern itself ends with it: a user whose name is ``*`` gains nothing by it.

    Args:
        reserved: Prefixes besides those of the extension.
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
    """A reserved name is meant only by a pattern that begins with its prefix as written, whoever the user is."""
    if channel == ALL:
        return pattern == ALL
    if not all(pattern.startswith(prefix) for prefix in RESERVED_PREFIXES if channel.startswith(prefix)):
        return False
    # Who comes and goes there is told on a channel of the same name with a prefix before it, which the pattern has, too.
    pattern, channel = pattern.removeprefix(PRESENCE_PREFIX), channel.removeprefix(PRESENCE_PREFIX)
    return all(pattern.startswith(prefix) for prefix in reserved if channel.startswith(prefix))
