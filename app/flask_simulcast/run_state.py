"""RunState: what the workers share about one run.

A **run** is a producer that outlives its request. Its events go to a channel of its own, and it ends exactly once. The broker
keeps a record of it beside the log, with a lease of the worker that produces. An ending is an event and a mark in the record,
stored in one transaction: the first one wins, and nothing follows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from .event import RUN_PREFIX, Draft, Position

RUNNING = "running"
#: The endings. Each is the type of the last event.
COMPLETE = "complete"
FAILED = "failed"
CANCELLED = "cancelled"
ENDINGS = frozenset({COMPLETE, FAILED, CANCELLED})


_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def is_run_id(id: object) -> bool:
    """Tell whether this can be the id of a run: 1-64 characters of ``A-Z a-z 0-9 . _ -``."""
    return isinstance(id, str) and _ID.fullmatch(id) is not None


class RunState(NamedTuple):
    """One run, as all workers know it.

    Attributes:
        id: Its id.
        user: The user for whom it runs; empty for none.
        meta: JSON text of the app.
        worker: Id of the worker that produces.
        started_ms: Unix time in ms at which it began.
        begin: The head of the log at that time: all its events come after.
        events: Number of events that its producer has stored.
        ending: ``complete``, ``failed`` or ``cancelled``; empty while it runs.
        end: Position of its last event; None while it runs.
    """

    id: str
    user: str
    meta: str
    worker: str
    started_ms: int
    begin: Position
    events: int = 0
    ending: str = ""
    end: Position | None = None

    @property
    def status(self) -> str:
        """``running``, or the ending."""
        return self.ending or RUNNING

    @property
    def channel(self) -> str:
        """The channel of its events."""
        return RUN_PREFIX + self.id


class RunAppend(NamedTuple):
    """Events to append to a run.

    Attributes:
        run: Id of the run.
        drafts: At least one event.
        after: For the producer: the number of events that it has stored before. So a second try stores nothing twice. None if the
            producer does not send them.
        ending: The ending, if the last of the events is one.
    """

    run: str
    drafts: Sequence[Draft]
    after: int | None = None
    ending: str = ""


def failed_draft(run: str, code: str, message: str) -> Draft:
    """Make the event that a run has failed: ``{"code", "message"}``, both for the people who watch it."""
    return Draft(RUN_PREFIX + run, FAILED, json.dumps({"code": code, "message": message}, separators=(",", ":")))


def lost_draft(run: str) -> Draft:
    """Make the event that the worker of a run was killed, or was frozen for longer than its lease."""
    return failed_draft(run, "worker_lost", "The server that worked on this has stopped. Start it again.")
