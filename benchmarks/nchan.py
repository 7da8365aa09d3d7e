"""The same load on nginx with nchan, in turn with ours. For ``--against-nchan``; both must be installed.

On Debian: ``apt-get install nginx libnginx-mod-nchan``.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import process
from .fanout import capacity_figure, rounds
from .figure import Effort, Figure, at_most
from .job import Job, Outcome, run
from .server import free_port
from .server import serve as server_of_ours

_LISTENERS = 1000
_WINDOW = 8
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


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure both servers in turn. Both run; one is idle while the other is measured."""
    with server_of_ours() as server, serve() as (port, pids):
        job = Job(
            [port],
            pids,
            _LISTENERS,
            listen_path="/sub",
            has_greeting=False,
            publish_path="/pub",
            channel="",
            window=_WINDOW,
            seconds=effort.seconds,
        )
        one = effort._replace(rounds=1)
        pairs = [(rounds(server, one, _LISTENERS, window=_WINDOW)[0], run(job)) for _ in range(effort.rounds)]
    ours, theirs = (list(each) for each in zip(*pairs, strict=True))
    yield capacity_figure(f"fan-out, N={_LISTENERS}, in turn with nchan", ours)
    yield capacity_figure(f"fan-out, N={_LISTENERS}, nchan", theirs)
    yield _ratio(pairs)


def _ratio(pairs: list[tuple[Outcome, Outcome]]) -> Figure:
    ratio = statistics.median(our.cpu_us / their.cpu_us for our, their in pairs)
    return Figure("our CPU a delivery, times nchan's", ratio, "times", at_most(0.5))


def is_there() -> bool:
    """Tell whether nginx and the module are installed."""
    return shutil.which("nginx") is not None and _MODULE.exists()


@contextlib.contextmanager
def serve() -> Iterator[tuple[int, list[int]]]:
    """Start nginx, and yield its port and the pids of its workers."""
    with tempfile.TemporaryDirectory(prefix="simulcast-bench-") as folder:
        Path(folder).chmod(0o755)  # nginx's worker is another user
        port = free_port()
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, module=_MODULE))
        started = subprocess.Popen(["nginx", "-c", str(configuration)])
        try:
            process.pin(started.pid, process.SERVER_CORE)
            time.sleep(_START_SECONDS)
            yield port, process.children_of(started.pid)
        finally:
            started.terminate()
            started.wait(10)
