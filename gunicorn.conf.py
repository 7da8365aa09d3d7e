"""gunicorn's settings. Every one that an operator may want to turn is read from the environment.

Nothing heavy is imported here: gunicorn reads this file before its workers are patched.
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
worker_class = "gevent"  # needs gunicorn[gevent]; plain gunicorn does not bring all that it imports

# Above SIMULCAST_MAX_LISTENERS (3600): with all places taken even a health check waits without an answer.
worker_connections = _number("WORKER_CONNECTIONS", 4096)

# A worker whose loop stands still for so long is killed. Streams may last for ever.
timeout = _number("WORKER_TIMEOUT", 30)
# Only the backstop: a draining worker is gone within `keepalive` + 2 s.
graceful_timeout = _number("GRACEFUL_TIMEOUT", 30)
# Bounds an idle kept-alive connection at exit, and how long a request head may take. Never 0: that means no bound.
keepalive = max(_number("KEEPALIVE", 2), 1)
limit_request_line = 8190  # several channels, and later a ticket, in one URL

# For a unix socket: a process that may connect can claim any address in X-Forwarded-For. So only this user and its group may
# connect; nginx must be in the group. The service's own files are only for its user, whatever the umask.
umask = 0o007

# A heartbeat file on a real disk can stall a worker.
worker_tmp_dir = os.environ.get("WORKER_TMP_DIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else None)
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
# A proxy that adds a prefix sends X-Forwarded-Prefix, which is checked. The header SCRIPT_NAME is whatever a client sent.
forwarder_headers = ""
# It can stop the server; who wants it asks for it.
control_socket_disable = not os.environ.get("CONTROL_SOCKET")
if os.environ.get("CONTROL_SOCKET"):
    control_socket = os.environ["CONTROL_SOCKET"]

loglevel = os.environ.get("LOG_LEVEL", "info")
accesslog = os.environ.get("ACCESS_LOG") or None
# The path alone: query strings carry tickets, and must not reach a log.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(B)s %(D)s'


def on_starting(server):
    """Room for as many descriptors as the system allows: with 1024 a worker is full at about 1000 listeners."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _MOST_DESCRIPTORS) if hard != resource.RLIM_INFINITY else _MOST_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < worker_connections:
        server.log.warning("Only %d open files are allowed: raise ulimit -n, or lower WORKER_CONNECTIONS.", wanted)


def post_fork(server, worker):
    """Until a worker has handlers of its own, a TERM would go into its copy of the master's queue, and be lost (gunicorn #1910)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def post_worker_init(worker):
    """Socket options, drain; and the worker shares its figures from now on, not from the first scrape that it answers."""
    from app.features.ops.reporter import start_reporters
    from app.flask_simulcast.gunicorn import post_worker_init

    post_worker_init(worker)
    start_reporters()


def worker_int(worker):
    """Drain on INT and QUIT."""
    from app.flask_simulcast.gunicorn import worker_int

    worker_int(worker)
