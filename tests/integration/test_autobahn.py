"""Autobahn's cases, driven by kosoku, against an echo route: framing, fragments, UTF-8, closing, and big messages.

Groups 12 and 13 are about compression, which is off: `tests/tools/autobahn_compression.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.serving import serve

GROUPS = (1, 2, 3, 4, 5, 6, 7, 9, 10)
CASES = 301
# Cases for which any behaviour is right: what comes after a close frame, and undefined codes.
INFORMATIONAL = 3


@pytest.mark.timeout(400)
def test_all_of_autobahn_s_cases_pass_strictly(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with serve(tmp_path, app="tests.apps.echo:app") as server:
        wanted = [argument for group in GROUPS for argument in ("-i", f"{group}.*")]
        done = subprocess.run(
            [Path(sys.executable).parent / "kosoku", *wanted, "-o", report, f"ws://127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            timeout=360,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Traceback" not in server.log
    (cases,) = json.loads((report / "index.json").read_text()).values()
    assert len(cases) == CASES
    behaviors = {name: {case["behavior"], case["behaviorClose"]} for name, case in cases.items()}
    loose = {name: sorted(each) for name, each in behaviors.items() if each != {"OK"}}
    print(f"{CASES - len(loose)} OK; the others: {loose}")
    assert all(each == ["INFORMATIONAL"] for each in loose.values()), loose
    assert len(loose) == INFORMATIONAL
