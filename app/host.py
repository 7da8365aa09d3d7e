"""This machine: its name, and the processes of this server."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress

import psutil

#: Name of this machine.
HOST = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:48] or "localhost"


def worker_pids() -> list[int]:
    """Return the pids of this server's workers: this process, and the others that its gunicorn master has started."""
    pids = {os.getpid()}
    if os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        with suppress(psutil.Error):
            children = psutil.Process(os.getppid()).children()
            pids |= {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}
    return sorted(pids)
