"""gunicorn's settings: those of the extension, and those that an operator might change, from the environment."""

import os

from app import first_steps
from app.flask_simulcast.gunicorn import *  # noqa: F403 - its settings and hooks, for gunicorn


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise SystemExit(f"{name}={text!r} is not a whole number. Use for example {name}={default}.")
    return int(text)


# Or "gevent", which is gunicorn's own and answers nothing itself.
worker_class = os.environ.get("WORKER_CLASS") or "app.flask_simulcast.gunicorn.StreamWorker"
bind = os.environ.get("BIND", "127.0.0.1:8000").split(",")
workers = _number("WEB_CONCURRENCY", 2)
worker_connections = _number("WORKER_CONNECTIONS", 11_000)
# A worker whose loop is blocked for this time is killed. It does not limit streams.
timeout = _number("WORKER_TIMEOUT", 30)
graceful_timeout = _number("GRACEFUL_TIMEOUT", 30)
keepalive = max(_number("KEEPALIVE", 2), 1)
worker_tmp_dir = os.environ.get("WORKER_TMP_DIR") or worker_tmp_dir  # noqa: F405

# For a unix socket: a process that can connect can claim any address in X-Forwarded-For. So only this user and its group can
# connect; nginx must be in the group. The service's own files are only for its user, whatever the umask is.
umask = 0o007
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
# A proxy that adds a prefix sends X-Forwarded-Prefix, which is checked. A header SCRIPT_NAME could come from any client.
forwarder_headers = ""
# The control socket can stop the server, so it is off unless CONTROL_SOCKET is set.
control_socket_disable = not os.environ.get("CONTROL_SOCKET")
if os.environ.get("CONTROL_SOCKET"):
    control_socket = os.environ["CONTROL_SOCKET"]

loglevel = os.environ.get("LOG_LEVEL", "info")
accesslog = os.environ.get("ACCESS_LOG") or None
# Set by scripts/run: the file of this instance's publish key; empty if a key was set before.
_key_file = os.environ.get("FIRST_STEPS_KEY_FILE")


def on_starting(server):
    """Say at once that a port is taken, to a person at a terminal."""
    hooks.on_starting(server)  # noqa: F405
    if _key_file is not None:
        first_steps.refuse_taken_ports(server.cfg.address)


def when_ready(server):
    """Show the first steps: from here on the port answers."""
    if _key_file is not None:
        first_steps.show(str(server.LISTENERS[0]), _key_file)


def worker_exit(server, worker):
    """Let the worker's runs end, then end the child processes of its tasks."""
    hooks.worker_exit(server, worker)  # noqa: F405
    from app.work.pool import end_children

    end_children()
