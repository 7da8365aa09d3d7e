"""Checks of one answer's head and first event: is it a stream as the worker sent it?"""

from __future__ import annotations

import re

from ..encoding.sse import SSE
from .answer import Answer
from .errors import SilentError
from .faults import fault
from .finding import Finding, sound, unseen
from .visit import CONNECTED, Visit

_MAX_AGE = re.compile(r"(?:s-)?max-?age\s*=\s*[1-9]|immutable|public", re.ASCII | re.IGNORECASE)
_HIT = re.compile(r"\b(?:hit|stale|updating|revalidated)\b", re.ASCII | re.IGNORECASE)
_CACHE_HEADERS = ("X-Cache", "X-Cache-Status", "X-Proxy-Cache", "CF-Cache-Status", "Cache-Status")
_MOST_SECONDS_APART = 10.0
NO_EVENT = "No event of the stream came, so there is nothing to look at."


def status(visit: Visit) -> Finding:
    """Look at the status of the first answer."""
    answer = visit.answer
    if answer is None:
        return sound(
            "answer", f"The server is up, but the stream at {visit.target.shown} does not begin: see buffering."
        )
    if visit.is_away:
        return fault("away", f"A proxy answers {answer.status}: it can't reach the app.", (answer.status,))
    if answer.status != 200:
        return fault("failing", f"The stream answers {answer.status}.", (answer.status,))
    return sound("answer", f"{visit.target.shown} answers 200{f' ({answer.server})' if answer.server else ''}.")


def buffering(visit: Visit) -> Finding:
    """Look whether the first event comes at once."""
    answer, seconds = visit.answer, visit.target.seconds
    if visit.connected is not None:
        return sound("buffering", "The first event came at once.")
    missing = "no head" if answer is None else "a head, but no event"
    return fault(
        "buffered",
        f"Another request was answered, but of the stream came {missing} within {seconds:g} s: a proxy collects it.",
    )


def compression(visit: Visit, answer: Answer) -> Finding:
    """Look whether the stream is compressed for a client that accepts it."""
    coding = answer.header("Content-Encoding")
    if not coding:
        return sound("compression", "The stream is not compressed.")
    return fault(
        "compressed", f"The stream comes with Content-Encoding: {coding}, so events can wait in the compressor."
    )


def http_version(visit: Visit) -> Finding:
    """Look which HTTP version the worker, and the client, is spoken to with."""
    if visit.answer is not None and visit.answer.version == "1.0":
        return fault("http_1_0", "The answer is HTTP/1.0: the end of a stream and its loss look the same.")
    if visit.reflection is None:
        return unseen(
            "HTTP version", "The client is answered with HTTP/1.1. What reaches the worker could not be seen."
        )
    if visit.reflection["protocol"] == "HTTP/1.0":
        return fault(
            "http_1_0", "The worker was asked with HTTP/1.0: no WebSocket can open, and a cut looks like an end."
        )
    return sound("HTTP version", f"The worker was asked with {visit.reflection['protocol']}.")


def content_type(visit: Visit, answer: Answer) -> Finding:
    """Look whether the type is that of an event stream, in UTF-8."""
    given = answer.header("Content-Type")
    if answer.media_type != "text/event-stream":
        return fault("content_type", f"The stream comes as {given or 'nothing'}: an EventSource refuses it.", (given,))
    if answer.charset != "utf-8":
        told = f"The charset is {answer.charset or 'missing'}, and {SSE.content_type!r} was sent."
        return fault("charset", told, (answer.charset or "missing",))
    return sound("content type", f"It comes as {given}.")


def caching(visit: Visit) -> Finding:
    """Look for signs of a cache: an age, a hit, another Cache-Control, an answer that was for another client."""
    answer = visit.answer
    assert answer is not None
    if answer.header("Age").strip("0 "):
        return fault("cached", "The stream has an age.", (f"Age: {answer.header('Age')}",))
    for name in _CACHE_HEADERS:
        if _HIT.search(answer.header(name)):
            return fault("cached", "A cache answered.", (f"{name}: {answer.header(name)}",))
    control = ", ".join(answer.headers("Cache-Control"))
    if _MAX_AGE.search(control):
        return fault("expires", "A proxy lets clients and caches keep the stream.", (control,))
    try:
        second = visit.stream()
    except SilentError:
        return fault("one_at_a_time", "A second client gets nothing while the first one listens.")
    if second.status == 204 or (second.status == 200 and second.media_type != answer.media_type):
        return fault("cached", "A new stream got the answer of another request.", ("proxy_cache_valid any …",))
    event = second.event_of({CONNECTED}, visit.target.seconds)
    second.close()
    if event is None:
        return fault("one_at_a_time", "A second client gets no event while the first one listens.")
    if visit.connected is not None and event.data == visit.connected.data:
        return fault("cached", "Two clients got the stream of one listener.", ("proxy_cache …",))
    return sound("caching", "Each client gets a stream of its own, and no cache may keep it.")


def clock(visit: Visit, answer: Answer) -> Finding:
    """Compare the server's clock with this one. Tokens are valid by both."""
    apart = answer.clock_ahead_seconds
    if apart is None:
        return unseen("clock", "The answer has no date.")
    if abs(apart) > _MOST_SECONDS_APART:
        return fault(
            "client_clock",
            f"The server's clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}: tokens end early or late.",
            (round(apart),),
        )
    return sound("clock", "The server's clock agrees with this one.")
