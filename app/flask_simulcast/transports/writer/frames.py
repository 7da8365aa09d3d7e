"""What a writer sends, as bytes. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

from ...encoding.sse import encode_fields
from ...errors import EventDataError, EventTypeError, InvalidEventError, SimulcastError
from ...event import Default, encode_data

DONE = "[DONE]"
_INTERNAL = "internal"


class WriterEvent(NamedTuple):
    """One event that a view writes itself. It has no channel and no position: nobody else gets it, nobody stores it.

    Attributes:
        data: Anything JSON can hold.
        name: For ``addEventListener``; without one a client takes it for ``message``.
        id: What the client sends back as ``Last-Event-ID``; none if empty.
    """

    data: object
    name: str = ""
    id: str = ""


def event_frame(event: WriterEvent, default: Default | None = None) -> bytes:
    """``id``, ``event``, ``data`` as JSON.

    Args:
        default: As of `encode_data`.

    Raises:
        EventDataError: JSON can't hold the data.
        EventTypeError, InvalidEventError: CR, LF or NUL in the name or the id.
    """
    return raw_frame(encode_data(event.data, default), event.name, event.id)


def raw_frame(text: str, name: str = "", id: str = "") -> bytes:
    """The same with text as it is. Each of its lines gets its own ``data:`` field.

    Raises:
        EventDataError: It is not text, or holds half a surrogate pair, which no UTF-8 can carry.
        EventTypeError, InvalidEventError: As `event_frame`.
    """
    _check_line("event name", name, EventTypeError)
    _check_line("event id", id, InvalidEventError)
    if not _is_unicode(text):
        raise EventDataError("The raw data is not text that UTF-8 can carry. Use write_event for anything but str.")
    if name != "message":
        return encode_fields(name or "message", text, id)
    # A client assumes `message` where there is no name, so the encoding leaves it out; here its author asked for it.
    head = f"id: {id}\nevent: message\n" if id else "event: message\n"
    return head.encode() + encode_fields("message", text, "")


def comment_frame(text: str) -> bytes:
    """``: text``, each of its lines as a comment of its own, so that no text can become a field.

    Raises:
        EventDataError: As `raw_frame`.
    """
    if not _is_unicode(text):
        raise EventDataError("The comment is not text that UTF-8 can carry. Use str.")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ("".join(f": {line}\n" for line in lines) + "\n").encode()


def retry_frame(milliseconds: int) -> bytes:
    """``retry: 3000``.

    Raises:
        InvalidEventError: Not a whole number from 0 up: a client would pass it over in silence.
    """
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or milliseconds < 0:
        raise InvalidEventError(f"{milliseconds!r} is not a number of milliseconds. Use for example 3000.")
    return b"retry: %d\n\n" % milliseconds


def error_frame(error: BaseException | str) -> bytes:
    """An error that the view tells its client: ``event: error``, data ``{"error": text}``.

    Those of the log are for the operator, with paths in them; a client is told their ``public`` text instead.
    """
    public = error.public if isinstance(error, SimulcastError) else None
    return event_frame(WriterEvent({"error": public or str(error) or type(error).__name__}, "error"))


def failure_frame(error: Exception) -> bytes:
    """An error that nobody meant to tell. Its text may hold anything, so the client gets a code of ours at most."""
    return event_frame(WriterEvent({"error": error.code if isinstance(error, SimulcastError) else _INTERNAL}, "error"))


def _check_line(what: str, text: object, error: type[InvalidEventError]) -> None:
    if text == "":
        return
    if not _is_unicode(text) or any(end in text for end in "\r\n\0"):  # type: ignore[operator]
        raise error(f"{text!a:.140} is not an {what}. Use text without CR, LF or NUL.")


def _is_unicode(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
