"""Checks that use streams: do events come, in one order, to all clients; does a client's end arrive; who cuts a stream?"""

from __future__ import annotations

import json
import time

from ..errors import BrokerError
from .answer import Answer
from .beside import EVENT_TYPE, Beside
from .faults import fault
from .finding import Finding, note, sound, unseen
from .visit import CONNECTED, Visit

# Connections that are compared. A balancer with two servers and a turn for each gives the second one at least two of them.
_CONNECTIONS = 4
_MOST_LEAVE_SECONDS = 3.0
_LOOK_SECONDS = 0.005
_PATIENT_SECONDS = 65.0  # proxies give up after 60 s
_USUAL_HEARTBEAT_SECONDS = 15.0
_LATE_SECONDS = 5.0  # a heartbeat on a busy machine
_FOREIGN = frozenset({"lost", "forked"})


def order(visit: Visit) -> Finding:
    """Look whether several connections read one log, and whether events that are published here reach them in order."""
    assert visit.connected is not None
    opened: list[tuple[Answer, str]] = []
    for _ in range(_CONNECTIONS):
        answer = visit.stream(resume=visit.connected.id)
        first = answer.event_of({"gap", CONNECTED}, visit.target.seconds)
        if first is not None and first.type == "gap" and json.loads(first.data).get("reason") in _FOREIGN:
            return fault(
                "other_log", "A second connection reads another log: it does not know the position of the first."
            )
        if first is not None and first.type == CONNECTED:
            opened.append((answer, json.loads(first.data)["listener"]))
    if visit.beside is None or visit.reflection is None:
        return sound(
            "order", f"{len(opened) + 1} connections read one log. (Without the app's log nothing was published.)"
        )
    return _published_arrive(visit.beside, opened, visit.target.seconds)


def _published_arrive(beside: Beside, opened: list[tuple[Answer, str]], seconds: float) -> Finding:
    """Publish to each connection by turns, twice, and compare the ids that come with those that the log gave."""
    try:
        sent = [[str(beside.publish_to(listener, str(turn))) for _, listener in opened] for turn in (1, 2)]
    except BrokerError as error:
        return fault("log_broken", f"The log takes no event: {error}", ("SIMULCAST_BROKER_URL",))
    started = time.monotonic()
    for place, (answer, _) in enumerate(opened):
        events = [answer.event_of({EVENT_TYPE}, seconds) for _ in sent]
        if None in events:
            told = f"An event that was published here did not come within {seconds:g} s: a view= drops it, or the worker is busy."
            return unseen("order", told)
        if [event.id.partition("/")[0] for event in events if event is not None] != [turn[place] for turn in sent]:
            return fault("other_log", "Events came in another order than this log has them.")
    ms = (time.monotonic() - started) * 1000
    return sound(
        "order", f"{2 * len(opened)} events reached {len(opened)} connections in the log's order, after {ms:.0f} ms."
    )


def leaving(visit: Visit) -> Finding:
    """Look whether the app learns that a client has left."""
    if visit.beside is None or visit.reflection is None:
        return unseen("leaving", "Only the log of the app shows which listeners there are.")
    answer = visit.stream()
    event = answer.event_of({CONNECTED}, visit.target.seconds)
    if event is None:
        return unseen("leaving", "A stream did not begin.")
    listener = json.loads(event.data)["listener"]
    if not _becomes(visit.beside, listener, True, _MOST_LEAVE_SECONDS):
        return unseen("leaving", "The listener did not appear in the log's register.")
    answer.close()
    started = time.monotonic()
    # Before the next heartbeat: a write to a client that is gone fails in any case.
    seconds = min(_MOST_LEAVE_SECONDS, 0.9 * visit.reflection["heartbeat_seconds"])
    if _becomes(visit.beside, listener, False, seconds):
        return sound("leaving", f"A client that left was gone after {(time.monotonic() - started) * 1000:.0f} ms.")
    return fault("leaving", f"A client that left still has its place after {seconds:g} s.")


def _becomes(beside: Beside, listener: str, is_there: bool, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while beside.knows(listener) is not is_there:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def patience(visit: Visit) -> Finding:
    """Look whether the first stream lives from one heartbeat to the next; with patience, longer than proxies usually wait."""
    assert visit.answer is not None
    heartbeat = visit.reflection["heartbeat_seconds"] if visit.reflection else _USUAL_HEARTBEAT_SECONDS
    wait = max(_PATIENT_SECONDS, 2 * heartbeat) if visit.is_patient else heartbeat + _LATE_SECONDS
    if heartbeat >= _PATIENT_SECONDS and not visit.is_patient:
        return note(
            "patience", f"Heartbeats come each {heartbeat:g} s: proxy_read_timeout must be longer. --patient waits."
        )
    started, heartbeats = visit.answer.started, 0
    while (left := started + wait - time.monotonic()) > 0 and (visit.is_patient or not heartbeats):
        event = visit.answer.event(left)
        if event is not None and event.type == "closed":
            return unseen("patience", f"The server closed the stream: {event.data[:120]}.")
        heartbeats += event is not None and event.type in ("heartbeat", ":")
        if visit.answer.is_over:
            lived = visit.answer.last_at - started
            return fault(
                "cut",
                f"The stream was cut after {lived:.1f} s, without `closed`: heartbeats come each {heartbeat:g} s.",
                (max(1, round(lived)),),
                (max(60, round(4 * heartbeat)),),
            )
    if heartbeats:
        return sound(
            "patience",
            f"The stream lives: {heartbeats} heartbeat{'' if heartbeats == 1 else 's'} within {time.monotonic() - started:.0f} s.",
        )
    return unseen(
        "patience", f"No heartbeat came within {wait:.0f} s. Use --patient if SIMULCAST_HEARTBEAT_SECONDS is longer."
    )
