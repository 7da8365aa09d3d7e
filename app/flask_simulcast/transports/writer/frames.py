"""Encode the events of a writer as bytes. Pure functions."""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from ...data import Default, encode_data, is_unicode, text_of
from ...encoding.sse import encode_fields
from ...errors import EventDataError, EventTypeError, InvalidEventError, SimulcastError

DONE = "[DONE]"
_INTERNAL = "internal"


class WriterEvent(NamedTuple):
    """One event that a view writes itself. It has no channel and no position: it goes to this client only and is not stored.

    Attributes:
        data: Anything JSON can hold, or Markup.
        name: Event name for ``addEventListener``. If empty, a client assumes ``message``.
        id: Event id, which the client sends back as ``Last-Event-ID``. If empty, the event has none.
    """

    data: object
    name: str = ""
    id: str = ""


def event_frame(event: WriterEvent, default: Default | None = None) -> bytes:
    """Encode an event as ``id``, ``event`` and ``data`` as JSON; Markup as it is.

    Args:
        default: Encodes values that JSON can't hold; see `encode_data`.

    Raises:
        EventDataError: JSON can't hold the data.
        EventTypeError, InvalidEventError: CR, LF or NUL in the name or the id.
    """
    return raw_frame(text_of(encode_data(event.data, default)), event.name, event.id)


def raw_frame(text: str, name: str = "", id: str = "") -> bytes:
    """Encode an event with text as its data, unchanged. Each line gets its own ``data:`` field.

    Raises:
        EventDataError: ``text`` is not text, or has half a surrogate pair, which UTF-8 can't encode.
        EventTypeError, InvalidEventError: As `event_frame`.
    """
    _check_line("event name", name, EventTypeError)
    _check_line("event id", id, InvalidEventError)
    if not _is_text(text):
        raise EventDataError(
            "The raw data is not text that UTF-8 can encode. Use write_event for data that is not str."
        )
    if name != "message":
        return encode_fields(name or "message", text, id)
    # A client assumes `message` without a name, so the encoding leaves that name out; here the caller named it explicitly.
    head = f"id: {id}\nevent: message\n" if id else "event: message\n"
    return head.encode() + encode_fields("message", text, "")


def comment_frame(text: str) -> bytes:
    """Encode a comment, ``: text``. Each line becomes a comment of its own, so that no text can become a field.

    Raises:
        EventDataError: As `raw_frame`.
    """
    if not _is_text(text):
        raise EventDataError("The comment is not text that UTF-8 can encode. Use str.")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ("".join(f": {line}\n" for line in lines) + "\n").encode()


def retry_frame(milliseconds: int) -> bytes:
    """Encode a reconnection time, ``retry: 3000``.

    Raises:
        InvalidEventError: ``milliseconds`` is not a whole number from 0 up. A client would ignore such a value silently.
    """
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or milliseconds < 0:
        raise InvalidEventError(f"{milliseconds!r} is not a number of milliseconds. Use for example 3000.")
    return b"retry: %d\n\n" % milliseconds


def error_frame(error: BaseException | str) -> bytes:
    """Encode an error that the view reports to its client: ``event: error``, data ``{"error": text}``.

    Messages of the broker are for the operator and contain paths, so the client gets their ``public`` text instead.
    """
    public = error.public if isinstance(error, SimulcastError) else None
    return event_frame(WriterEvent({"error": public or str(error) or type(error).__name__}, "error"))


def failure_frame(error: Exception) -> bytes:
    """Encode an error that the view did not catch. Its text might contain secrets, so the client gets only a code."""
    return event_frame(WriterEvent({"error": error.code if isinstance(error, SimulcastError) else _INTERNAL}, "error"))


def _check_line(what: str, text: object, error: type[InvalidEventError]) -> None:
    if text == "":
        return
    if not _is_text(text) or any(end in text for end in "\r\n\0"):
        raise error(f"{text!a:.140} is not an {what}. Use text without CR, LF or NUL.")


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_unicode(value)
