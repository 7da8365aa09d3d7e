"""The close codes of WebSockets, in one table with the reasons of SSE's ``closed``.

A page sees the code and reason in its ``CloseEvent``; an operator sees ``name``, the label of
``simulcast_websocket_closed_total``. 4000-4499 mean "reconnect", 4500-4999 "do not reconnect".

Source: RFC 6455, 7.4.1, and IANA's registry of close codes (1012, 1013); 4000-4999 are for private use.
"""

from __future__ import annotations

from typing import NamedTuple

from ...close_reason import CloseReason

_RECONNECT = range(4000, 4500)
_FOR_GOOD = range(4500, 5000)
# Codes after which a retry would fail the same way; the page's author must fix something first.
_USELESS_TO_RETRY = frozenset({1000, 1002, 1003, 1007, 1008, 1009})


class CloseCode(NamedTuple):
    """One ending of a WebSocket.

    Attributes:
        code: The code of the close frame. 1005 and 1006 are never sent: the client gave no code, or no close frame.
        name: One of a fixed set of names, for counters and logs.
        reason: The close reason, as text for the client.
    """

    code: int
    name: str
    reason: str = ""

    @property
    def reconnect(self) -> bool:
        """True if the client should reconnect."""
        return self.code not in _USELESS_TO_RETRY and self.code not in _FOR_GOOD

    def saying(self, reason: str) -> CloseCode:
        """Return the same code with another reason."""
        return self._replace(reason=reason)


#: Codes of the reasons that SSE sends in ``closed``.
CLOSE_CODES = {
    reason: CloseCode(code, reason.value, words)
    for reason, code, words in (
        (CloseReason.CLIENT_GONE, 1006, ""),
        (CloseReason.FINISHED, 1000, ""),
        (CloseReason.DRAINING, 1012, "This worker is about to stop. Reconnect, and another one answers."),
        (CloseReason.KICKED, 4000, "This connection was closed. You may come back."),
        (CloseReason.STALLED, 4001, "The client read or answered nothing for too long."),
        (CloseReason.BROKER_LOST, 4002, "The log can't be read now."),
        (CloseReason.LIMIT, 4003, "The server did not take your messages for too long."),
        (CloseReason.REVOKED, 4500, "Your token was revoked."),
        (CloseReason.EXPIRED, 4501, "Your token has expired."),
        (CloseReason.DEADLINE, 4502, "The time of this connection is over."),
    )
}

# Codes that only a WebSocket has.
#: The client closed; the ending has the client's own code and reason.
CLIENT_CLOSED = CloseCode(1005, "client_closed")
PROTOCOL_ERROR = CloseCode(1002, "protocol_error", "These bytes are not WebSocket frames.")
NOT_TEXT = CloseCode(1003, "not_text", "Only text messages are accepted here.")
NOT_UTF8 = CloseCode(1007, "not_utf8", "A text message is not UTF-8.")
REFUSED = CloseCode(1008, "refused", "That is not allowed.")
TOO_FAST = CloseCode(1008, "too_fast", "Too many messages, or frames, in a second.")
TOO_MANY_FRAGMENTS = CloseCode(1008, "too_many_fragments", "A message in too many fragments.")
TOO_LARGE = CloseCode(1009, "too_large", "The message is too large.")
BUG = CloseCode(1011, "bug", "Something went wrong here.")

OF_WEBSOCKET = (
    CLIENT_CLOSED, PROTOCOL_ERROR, NOT_TEXT, NOT_UTF8, REFUSED, TOO_FAST, TOO_MANY_FRAGMENTS, TOO_LARGE, BUG,
)  # fmt: skip


def of_code(code: int, reason: str) -> CloseCode:
    """Make the ending that a handler chose itself.

    Raises:
        ValueError: The code must not be sent in a close frame.
    """
    if code not in range(3000, 5000) and code not in {1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013}:
        raise ValueError(f"A WebSocket can't be closed with the code {code}. Use 1000, or one of 3000 to 4999.")
    return CloseCode(code, CloseReason.FINISHED.value, reason)
