"""The inspected service, where a client that vanished is gone within the heartbeat and ``PATIENCE_SECONDS``: the default is 20 s."""

from __future__ import annotations

import os

from app.flask_simulcast import keepalive
from tests.apps.inspected import app

keepalive.PATIENCE_SECONDS = int(os.environ["PATIENCE_SECONDS"])
keepalive._PROBES = min(keepalive._PROBES, keepalive.PATIENCE_SECONDS // 2)  # a second apart at least

__all__ = ["app"]
