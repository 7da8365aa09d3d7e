"""Write findings down, for an operator or for a program. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from .finding import Finding, Verdict

_MARKS = {Verdict.SOUND: "ok", Verdict.NOTE: "note", Verdict.FAULT: "FAULT", Verdict.UNSEEN: "?"}
_WIDTH = len("redis persistence")


def as_text(finding: Finding) -> str:
    """Return the line of a finding, and two more if it is a fault."""
    lines = [f"{_MARKS[finding.verdict]:5} {finding.check:{_WIDTH}}  {finding.told}"]
    if finding.fault:
        lines += [f"      {'wrong:':>{_WIDTH}}  {finding.wrong}", f"      {'right:':>{_WIDTH}}  {finding.right}"]
    return "\n".join(lines)


def summary(findings: Iterable[Finding]) -> str:
    """Return the last line, which counts them."""
    count = _count(findings)
    faults = count[Verdict.FAULT]
    text = f"{faults or 'No'} fault{'' if faults == 1 else 's'}, {count[Verdict.SOUND]} checks sound"
    text += f", {count[Verdict.NOTE]} to know" if count[Verdict.NOTE] else ""
    return text + (f", {count[Verdict.UNSEEN]} not looked at." if count[Verdict.UNSEEN] else ".")


def as_json(findings: Iterable[Finding]) -> str:
    """Return one JSON object: the findings, and how many of them are faults."""
    all = list(findings)
    rows = [finding._asdict() | {"verdict": finding.verdict.value} for finding in all]
    return json.dumps({"faults": _count(all)[Verdict.FAULT], "findings": rows}, ensure_ascii=False)


def _count(findings: Iterable[Finding]) -> Counter[Verdict]:
    return Counter(finding.verdict for finding in findings)
