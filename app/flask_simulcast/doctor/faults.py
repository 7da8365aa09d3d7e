"""The faults that the doctor knows: the wrong line and the right one. The documents show the same table."""

from __future__ import annotations

from typing import NamedTuple

from .finding import Finding, Verdict


class Fault(NamedTuple):
    """A fault of a set-up.

    Attributes:
        check: The check that finds it.
        wrong: The wrong line. ``{}`` stands for a value that the check knows.
        right: The right line, and where it belongs.
    """

    check: str
    wrong: str
    right: str


FAULTS = {
    # The server, by its configuration
    "worker_class": Fault("worker class", "worker_class = {!r}", "gunicorn -c python:flask_simulcast.gunicorn app:app"),
    "late_patch": Fault(
        "patching",
        "preload_app = True",
        "from gevent import monkey; monkey.patch_all()  (first line of gunicorn.conf.py), or preload_app = False",
    ),
    "hooks": Fault(
        "hooks",
        "{} of the extension: not called",
        "gunicorn -c python:flask_simulcast.gunicorn app:app, or from flask_simulcast.gunicorn import *  (first line of "
        "gunicorn.conf.py)",
    ),
    "connections": Fault(
        "connections",
        "worker_connections = {}",
        "worker_connections = {}  (gunicorn.conf.py), or a lower SIMULCAST_MAX_LISTENERS",
    ),
    "max_requests": Fault("max_requests", "max_requests = {}", "max_requests = 0  (gunicorn.conf.py)"),
    "keepalive": Fault("keepalive", "keepalive = 0", "keepalive = 2  (gunicorn.conf.py)"),
    "memory_of_many": Fault(
        "workers", "SIMULCAST_BROKER_URL=memory:// with workers = {}", "SIMULCAST_BROKER_URL=sqlite:///simulcast.db"
    ),
    "descriptors": Fault(
        "descriptors",
        "ulimit -n {}",
        "LimitNOFILE=65536  (systemd unit), or ulimit -n 65536 before the start",
    ),
    "threads": Fault(
        "connections",
        "threads = {}  (gthread)",
        'worker_class = "gevent"  (gunicorn.conf.py), or SIMULCAST_MAX_LISTENERS below the number of threads',
    ),
    # The log
    "log_missing_folder": Fault(
        "log", "SIMULCAST_BROKER_URL=sqlite:///{}", "SIMULCAST_BROKER_URL=sqlite:///simulcast.db"
    ),
    "log_unusable": Fault("log", "{}", "chown -R <user of gunicorn> {}"),
    "log_broken": Fault("log", "{}", "a log that this version can open: see the sentence above"),
    "log_readable": Fault("permissions", "mode {} of {}", "chmod 600 {}"),
    "network_file_system": Fault(
        "file system", "{} is on {}", "SIMULCAST_BROKER_URL=redis://…, or a path on a local disk"
    ),
    "disk": Fault("disk", "SIMULCAST_HISTORY_BYTES={}", "SIMULCAST_HISTORY_BYTES={}, or more room on the disk of {}"),
    "write_ahead": Fault(
        "write-ahead log",
        "{} has {}",
        "end the program that has the log open for reading (fuser {}): a backup, or a shell with an open SELECT",
    ),
    "log_ahead": Fault("clock", "the clock is {} s behind the newest event", "timedatectl set-ntp true"),
    # Redis
    "redis_away": Fault("redis", "SIMULCAST_BROKER_URL={}", "the URL of a Redis that answers: redis://host:6379/0"),
    "redis_old": Fault("redis", "redis-server {}", "redis-server 6.2 or newer"),
    "redis_replica": Fault("redis", "role: replica of {}", "SIMULCAST_BROKER_URL=redis://<master>, or sentinel://…"),
    "redis_policy": Fault("redis memory", "maxmemory-policy {}", "maxmemory-policy noeviction  (redis.conf)"),
    "redis_full": Fault("redis memory", "maxmemory {}", "maxmemory {} or more  (redis.conf)"),
    "redis_persistence": Fault("redis persistence", "appendonly no", "appendonly yes  (redis.conf)"),
    "redis_clock": Fault("clock", "the clock differs by {} s from that of Redis", "timedatectl set-ntp true, on both"),
    # The stream, as a client gets it
    "away": Fault(
        "answer", "proxy_pass to an upstream that answers {}", "the address that gunicorn binds  (nginx: proxy_pass)"
    ),
    "failing": Fault("answer", "status {}", "the line of the server's log that tells why"),
    "buffered": Fault(
        "buffering",
        "proxy_buffering on, with proxy_ignore_headers X-Accel-Buffering",
        "proxy_buffering off;  (nginx, in the location)",
    ),
    "compressed": Fault(
        "compression",
        "gzip_types … text/event-stream  (nginx), or a compressor in the app",
        "gzip off;  (nginx, in the location); COMPRESS_MIMETYPES without text/event-stream  (Flask-Compress)",
    ),
    "http_1_0": Fault("HTTP version", "proxy_http_version 1.0  (nginx's default)", "proxy_http_version 1.1;  (nginx)"),
    "content_type": Fault(
        "content type", "Content-Type: {}", "no proxy_hide_header Content-Type, no add_header Content-Type  (nginx)"
    ),
    "charset": Fault("content type", "charset {}", "charset off;  (nginx, in the location)"),
    "cached": Fault("caching", "{}", "proxy_cache off;  (nginx, in the location)"),
    "one_at_a_time": Fault(
        "caching",
        'proxy_cache_lock on  (nginx), or worker_class = "sync"',
        'proxy_cache off;  (nginx), worker_class = "gevent"  (gunicorn.conf.py)',
    ),
    "expires": Fault("caching", "Cache-Control: {}", "expires off;  (nginx, in the location)"),
    "resume_lost": Fault(
        "resume",
        'proxy_set_header Last-Event-ID ""  (nginx)',
        "proxy_set_header Last-Event-ID $http_last_event_id;  (nginx), or no such line",
    ),
    "query_lost": Fault(
        "query string",
        "proxy_pass http://upstream$uri;  (nginx)",
        "proxy_pass http://upstream$uri$is_args$args;  (nginx), or proxy_pass http://upstream;",
    ),
    "cookie_lost": Fault(
        "cookies",
        'proxy_set_header Cookie ""  (nginx)',
        "proxy_set_header Cookie $http_cookie;  (nginx), or no such line",
    ),
    "set_cookie_lost": Fault(
        "cookies", "proxy_hide_header Set-Cookie  (nginx)", "proxy_pass_header Set-Cookie;  (nginx)"
    ),
    "host_lost": Fault("host", "Host: {}", "proxy_set_header Host $http_host;  (nginx)"),
    "scheme_lost": Fault(
        "host",
        "{} reaches the app as {}",
        "proxy_set_header X-Forwarded-Proto $scheme;  (nginx), and forwarded_allow_ips  (gunicorn.conf.py)",
    ),
    "address_lost": Fault(
        "client address",
        "all clients have the address {}",
        "app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1), and proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;  (nginx)",
    ),
    "upgrade_lost": Fault(
        "WebSocket",
        "no proxy_set_header Upgrade  (nginx)",
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;  (nginx)",
    ),
    "websocket": Fault("WebSocket", "{}", "a proxy that passes frames both ways: no CDN that ends WebSockets"),
    "other_log": Fault(
        "order",
        "two servers with logs of their own behind one URL",
        "the same SIMULCAST_BROKER_URL=redis://… for all servers  (upstream in nginx)",
    ),
    "leaving": Fault("leaving", "proxy_ignore_client_abort on  (nginx)", "proxy_ignore_client_abort off;  (nginx)"),
    "cut": Fault(
        "patience", "proxy_read_timeout {}s;  (nginx)", "proxy_read_timeout {}s;  (nginx, above the heartbeat)"
    ),
    "client_clock": Fault("clock", "the server's clock differs by {} s", "timedatectl set-ntp true, on both"),
}


def fault(name: str, told: str, wrong: tuple[object, ...] = (), right: tuple[object, ...] = ()) -> Finding:
    """Make the finding of a fault of the table.

    Args:
        name: Its key in `FAULTS`.
        told: What was seen.
        wrong, right: Values for the places of its two lines.
    """
    row = FAULTS[name]
    return Finding(row.check, Verdict.FAULT, told, name, row.wrong.format(*wrong), row.right.format(*right))
