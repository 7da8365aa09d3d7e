"""Finding: the result of one check."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Verdict(enum.Enum):
    """What a check found."""

    SOUND = "sound"
    NOTE = "note"  # sound, with a consequence that an operator should know
    FAULT = "fault"
    UNSEEN = "unseen"  # could not be looked at


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: What was looked at, in one or two words.
        verdict: What was found.
        told: What was seen, in one or two sentences.
        fault: Name of the fault in `faults.FAULTS`; empty if it is none.
        wrong: The wrong line, as far as it is known; what it usually looks like otherwise.
        right: The right line, and where it belongs.
    """

    check: str
    verdict: Verdict
    told: str
    fault: str = ""
    wrong: str = ""
    right: str = ""


def sound(check: str, told: str) -> Finding:
    """Make a finding of a check that found nothing wrong."""
    return Finding(check, Verdict.SOUND, told)


def note(check: str, told: str) -> Finding:
    """Make a finding that is no fault, but has a consequence."""
    return Finding(check, Verdict.NOTE, told)


def unseen(check: str, told: str) -> Finding:
    """Make a finding of a check that could not look."""
    return Finding(check, Verdict.UNSEEN, told)
