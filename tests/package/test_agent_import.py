"""The agent, which runs beside programs on every machine, loads nothing of the service."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.tools.serving import ROOT

CODE = """
import json, sys
import app.features.wukongs.agent.command
print(json.dumps([name for name in ("flask", "werkzeug", "gevent", "sqlalchemy") if name in sys.modules]))
"""


def test_importing_the_agent_loads_neither_flask_nor_gevent_nor_sqlalchemy() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
