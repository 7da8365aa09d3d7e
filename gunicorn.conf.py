"""gunicorn's settings. Those that an operator might change are read from the environment.

This file imports nothing of the app at its top: gunicorn reads it before its workers are patched.
"""

import os
import resource
import signal

_MOST_DESCRIPTORS = 65536


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise SystemExit(f"{name}={text!r} is not a whole number. Use for example {name}={default}.")
    return int(text)


bind = os.environ.get("BIND", "127.0.0.1:8000").split(",")
workers = _number("WEB_CONCURRENCY", 2)
worker_class = "gevent"  # needs gunicorn[gevent]; plain gunicorn does not install all that this worker imports

# Above SIMULCAST_MAX_LISTENERS (3600): when all connections are taken, even a health check gets no answer.
worker_connections = _number("WORKER_CONNECTIONS", 4096)

# A worker whose loop is blocked for this time is killed. It does not limit streams.
timeout = _number("WORKER_TIMEOUT", 30)
# Only a backstop: a draining worker exits within `keepalive` + 2 s.
graceful_timeout = _number("GRACEFUL_TIMEOUT", 30)
# Limits the life of an idle kept-alive connection at exit, and the time for a request head. Never 0: that means no limit.
keepalive = max(_number("KEEPALIVE", 2), 1)
limit_request_line = 8190  # several channels and a ticket in one URL

# For a unix socket: a process that can connect can claim any address in X-Forwarded-For. So only this user and its group can
# connect; nginx must be in the group. The service's own files are only for its user, whatever the umask is.
umask = 0o007

# A heartbeat file on a real disk can stall a worker.
worker_tmp_dir = os.environ.get("WORKER_TMP_DIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else None)
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
# A proxy that adds a prefix sends X-Forwarded-Prefix, which is checked. A header SCRIPT_NAME could come from any client.
forwarder_headers = ""
# The control socket can stop the server, so it is off unless CONTROL_SOCKET is set.
control_socket_disable = not os.environ.get("CONTROL_SOCKET")
if os.environ.get("CONTROL_SOCKET"):
    control_socket = os.environ["CONTROL_SOCKET"]

loglevel = os.environ.get("LOG_LEVEL", "info")
accesslog = os.environ.get("ACCESS_LOG") or None
# Only the path: query strings carry tickets, and must not reach a log.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(B)s %(D)s'


def on_starting(server):
    """Allow as many open files as the system does: with 1024 a worker is full at about 1000 listeners."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _MOST_DESCRIPTORS) if hard != resource.RLIM_INFINITY else _MOST_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < worker_connections:
        server.log.warning("Only %d open files are allowed: raise ulimit -n, or lower WORKER_CONNECTIONS.", wanted)


def post_fork(server, worker):
    """Reset the signal handlers of a new worker. Until it sets its own, a TERM would be put in its copy of the master's queue
    and lost (gunicorn #1910)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def post_worker_init(worker):
    """Set socket options, drain the worker at its end, and share its figures from the start, not from its first scrape on."""
    from app.features.ops.reporter import start_reporters
    from app.flask_simulcast.gunicorn import post_worker_init

    post_worker_init(worker)
    start_reporters()


def worker_int(worker):
    """Drain on INT and QUIT."""
    from app.flask_simulcast.gunicorn import worker_int

    worker_int(worker)
