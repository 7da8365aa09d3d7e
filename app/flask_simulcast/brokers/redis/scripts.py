"""The scripts that run inside Redis. Each runs atomically: no client sees half of its effect.

Their sources are in `scripts/*.lua`. A script is called by its hash; a server that does not know it gets the text.
"""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).parent / "scripts"
_NO_LOG = "if redis.call('EXISTS', LOG) == 0 then return redis.error_reply('NOLOG there is no log') end\n"


class Script:
    """One script.

    Args:
        name: Name of its file.
        parts: Names of the files that are loaded before it.
        begins: True if it works without a log, because it makes one.

    Attributes:
        name: Name of its file.
        text: The complete text that Redis runs.
        sha: SHA-1 of the text, which is its name in Redis.
    """

    def __init__(self, name: str, *parts: str, begins: bool = False) -> None:
        self.name = name
        texts = [_read("prelude"), "" if begins else _NO_LOG, *map(_read, (*parts, name))]
        self.text = "".join(texts)
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


OPEN = Script("open", begins=True)

APPEND = Script("append")
HEAD = Script("head")
READ = Script("read")
PAGE = Script("page", "merging")
VERDICT = Script("verdict")
NEWEST = Script("newest", "merging")
SUMMARIES = Script("summaries")

LOOK = Script("look", "runs")
CHANNELS = Script("channels")
TRIM = Script("trim", "trimming")
ROOM = Script("room", "trimming")
AGE = Script("age", "trimming")
FORGET = Script("forget")

HOLD = Script("lease")
RELEASE = Script("release")
KEEP = Script("keep")
RECALL = Script("recall")
REVOKE = Script("revoke")
REVOKED = Script("revoked")

CHECK_IN = Script("check_in", "places")
CHECK_OUT = Script("check_out", "places")
SWEEP = Script("sweep", "places")
PLACE = Script("place", "places")
LIST = Script("list", "places")
MEMBERS = Script("members", "places")

BEGIN_RUN = Script("begin_run", "runs")
APPEND_TO_RUNS = Script("append_to_runs", "runs")
HOLD_RUNS = Script("hold_runs", "runs")
RUN = Script("run", "runs")
LIST_RUNS = Script("list_runs", "runs")
SWEEP_RUNS = Script("sweep_runs", "runs")
