"""Values of gunicorn's settings, by gunicorn's names. A setting that is not here keeps gunicorn's own default."""

from __future__ import annotations

import os

#: Needs gunicorn[gevent]: plain gunicorn does not install all that this worker imports.
worker_class = "gevent"

#: Above SIMULCAST_MAX_LISTENERS (10 000): when all connections are taken, even a health check gets no answer. Parked streams
#: take none; requests, WebSockets, and streams that can't park do.
worker_connections = 11_000

#: Seconds that an idle connection stays open, and that the head of a request may take. A stopping worker waits for such
#: connections, so a longer time makes it stop later. Never 0: that means no limit.
keepalive = 2

#: Seconds after which a stopping worker cuts requests that have not ended. Streams end before that, within about 2 s.
graceful_timeout = 30

#: Bytes of a request line. gunicorn's 4094 are too few for several channels and a ticket in one URL.
limit_request_line = 8190

#: In memory, if possible: on a real disk a worker's heartbeat file can stall the worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None

#: Only the path of the URL: query strings carry tickets, and must not reach a log. gunicorn's own format also has the referrer.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(B)s %(D)s'
