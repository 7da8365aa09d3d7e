"""Read flask-sock's configuration, ``SOCK_SERVER_OPTIONS``, as far as it applies here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...errors import SettingError
from .handshake import checked_subprotocols

_KEY = "SOCK_SERVER_OPTIONS"
#: flask-sock's name of a limit, and its name in `Limits`.
_LIMITS = {"ping_interval": "heartbeat_seconds", "max_message_size": "message_bytes"}
_SUBPROTOCOLS = "subprotocols"
_EXAMPLE = f'{_KEY} = {{"subprotocols": ["mqtt"], "max_message_size": 131072, "ping_interval": 15}}'


class Options(NamedTuple):
    """An app's configuration for flask-sock.

    Attributes:
        subprotocols: The subprotocols that the server speaks.
        limits: Limits by their names in `Limits`. A limit that is not set, or None, keeps the value of the settings.
    """

    subprotocols: tuple[str, ...]
    limits: Mapping[str, float]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Options:
        """Read an app's configuration.

        Raises:
            SettingError: An option is not supported here. Without the error it would be ignored silently.
        """
        options = config.get(_KEY) or {}
        unknown = sorted(options.keys() - _LIMITS.keys() - {_SUBPROTOCOLS})
        if unknown:
            raise SettingError(
                f"{_KEY} has {', '.join(map(repr, unknown))}, which GuardedSock does not have. "
                f"Remove it, or use flask-sock's own Sock. Example: {_EXAMPLE}."
            )
        limits = {}
        for name, ours in _LIMITS.items():
            value = options.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise SettingError(f"{_KEY} has {name!r} of {value!r:.80}. Use a number above 0: {_EXAMPLE}.")
            limits[ours] = value
        try:
            return cls(checked_subprotocols(options.get(_SUBPROTOCOLS) or ()), limits)
        except ValueError as error:
            raise SettingError(f"{_KEY}: {error}") from None
