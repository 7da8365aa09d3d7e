"""Write findings down, for an operator or for a program. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from .finding import Finding, Verdict

_MARKS = {Verdict.SOUND: "ok", Verdict.NOTE: "note", Verdict.FAULT: "FAULT", Verdict.UNSEEN: "?"}


def as_text(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, two more for each fault, and a last one that counts them."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.verdict]:5} {finding.check:{width}}  {finding.told}")
        if finding.fault:
            lines += [f"      {'wrong:':>{width}}  {finding.wrong}", f"      {'right:':>{width}}  {finding.right}"]
    return "\n".join([*lines, _counted(findings)])


def as_json(findings: Sequence[Finding]) -> str:
    """Return one JSON object: the findings, and how many of them are faults."""
    rows = [finding._asdict() | {"verdict": finding.verdict.value} for finding in findings]
    return json.dumps({"faults": _count(findings)[Verdict.FAULT], "findings": rows}, ensure_ascii=False)


def _counted(findings: Sequence[Finding]) -> str:
    count = _count(findings)
    text = f"{count[Verdict.FAULT] or 'No'} fault{'' if count[Verdict.FAULT] == 1 else 's'}, {count[Verdict.SOUND]} checks sound"
    text += f", {count[Verdict.NOTE]} to know" if count[Verdict.NOTE] else ""
    return text + (f", {count[Verdict.UNSEEN]} not looked at." if count[Verdict.UNSEEN] else ".")


def _count(findings: Sequence[Finding]) -> Counter[Verdict]:
    return Counter(finding.verdict for finding in findings)
