"""nginx with nchan, one of the peers. On Debian: ``apt-get install nginx libnginx-mod-nchan``."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import process
from .job import Job
from .server import free_port

_START_SECONDS = 1
_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")  # where Debian's package has it
_CONFIGURATION = """
load_module {module};
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 12000; }}
http {{
  access_log off; client_body_temp_path {folder}/body; keepalive_requests 1000000000;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /sub {{ nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
    location = /pub {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; }}
  }}
}}
"""


@contextlib.contextmanager
def serve() -> Iterator[Job | None]:
    """Start it, and yield the job that speaks to it; None if it is not there."""
    if shutil.which("nginx") is None or not _MODULE.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        Path(folder).chmod(0o755)  # nginx's worker is another user
        port = free_port()
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, module=_MODULE))
        started = subprocess.Popen(["nginx", "-c", str(configuration)])
        try:
            process.pin(started.pid, process.SERVER_CORE)
            time.sleep(_START_SECONDS)
            workers = process.children_of(started.pid)
            yield Job([port], workers, listen_path="/sub", has_greeting=False, publish_path="/pub", channel="")
        finally:
            started.terminate()
            started.wait(10)
