"""Autobahn's groups 12 and 13, driven by kosoku, against an echo route with permessage-deflate on: ``scripts/nightly``.

kosoku 0.1.0 fails itself ("Strings must be encoded before hashing") as soon as an answer is not compressed, which RFC 7692, 6
leaves to the server, and which ours does with what is small or noise. Such a case says nothing; it is tried once more with an
echo that compresses everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tools.serving import Server, serve

CASES = ["12.*", "13.*"]
OF_KOSOKU = "Strings must be encoded before hashing"
_SECONDS = 3600


def run(server: Server, path: str, cases: list[str], report: Path) -> dict[str, str]:
    """What came of each case: "" when it has passed."""
    wanted = [argument for case in cases for argument in ("-i", case)]
    url = f"ws://127.0.0.1:{server.port}{path}"
    kosoku = Path(sys.executable).parent / "kosoku"
    subprocess.run([kosoku, "-p", "2", *wanted, "-o", report, url], capture_output=True, timeout=_SECONDS, check=False)
    (found,) = json.loads((report / "index.json").read_text()).values()
    results = {}
    for name, case in found.items():
        is_right = {case["behavior"], case["behaviorClose"]} == {"OK"}
        results[name] = "" if is_right else json.loads((report / case["reportfile"]).read_text())["result"]
    return results


def main(cases: list[str]) -> int:
    """Try them, and print how many passed.

    Args:
        cases: Names or globs; all of both groups if there are none.
    """
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), app="tests.apps.echo:app", websocket_compression=1) as server,
    ):
        results = run(server, "/", cases or CASES, Path(folder) / "report")
        unjudged = [name for name, result in results.items() if OF_KOSOKU in result]
        if unjudged:
            results |= run(server, "/always-compressed", unjudged, Path(folder) / "again")
        if "Traceback" in server.log:
            results["log"] = "A traceback in the server's log."
    failed = {name: result for name, result in results.items() if result}
    print(
        f"{len(results) - len(failed)} passed, {len(failed)} failed, in {time.monotonic() - began:.0f} s; "
        f"{len(unjudged)} of them with an echo that compresses everything"
    )
    for name, result in failed.items():
        print(f"  {name}: {result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
