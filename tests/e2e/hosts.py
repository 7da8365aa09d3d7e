"""Two hosts of a fleet, a Redis between them, nginx in front; and what cuts a host off.

Where the machine allows it the hosts are network namespaces, and a host that is cut off gets nothing. Elsewhere they are two
ports with a relay before and behind each, and who is cut off is told so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.e2e.net import FilteredWay, Net, make_net
from tests.e2e.page import Page
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY
from tests.tools.nginx import Nginx, serve_nginx
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.relay import Relay
from tests.tools.serving import Server, serve, together, wait_until

_PORT = 8000  # within a namespace
# Four heartbeats, as deployed.
_HEARTBEAT_SECONDS = 1
_READ_SECONDS = 4


class Way(Protocol):
    """Between a host and another machine."""

    def cut(self) -> None:
        """Drop everything from now on."""

    def mend(self) -> None:
        """Everything does again."""


@dataclass
class Host:
    """One gunicorn.

    Attributes:
        address: Where nginx finds it.
        to_redis: What may be cut.
        from_nginx: The same.
    """

    server: Server
    address: str
    to_redis: Way
    from_nginx: Way

    def page(self, query: str, headers: dict[str, str] | None = None) -> Page:
        """One that asks this host, not nginx."""
        return Page(f"http://{self.server.host}:{self.server.port}/api/v1/stream?{query}", headers=headers)

    @property
    def stream_status(self) -> int:
        """Status of a stream for a client that is no EventSource: 503 while the host can't read Redis."""
        path = "/api/v1/stream?channel=elsewhere"
        with SSEClient(self.server.port, path, host=self.server.host, accept="*/*") as client:
            return client.status

    def kill(self) -> None:
        """Cut it at once, without a goodbye."""
        for pid in (self.server.process.pid, *self.server.workers):
            os.kill(pid, signal.SIGKILL)
        self.server.process.wait()


@dataclass
class Site:
    """All of it.

    Attributes:
        form: How the hosts are kept apart, for people.
    """

    form: str
    one: Host
    two: Host
    redis: Redis
    nginx: Nginx

    def page(self, query: str, headers: dict[str, str] | None = None) -> Page:
        """One that comes through nginx."""
        url = f"{self.nginx.url}/api/v1/stream?{query}"
        return Page(url, trust=self.nginx.certificate, headers=headers)

    def mend(self) -> None:
        """Let everything through again, and wait until both hosts have Redis, and nginx sends to both."""
        for host in (self.one, self.two):
            host.to_redis.mend()
            host.from_nginx.mend()
        for host in (self.one, self.two):
            wait_until(lambda host=host: host.stream_status == 200, 10, "a host to have Redis")
        self.nginx.reload()  # forgets which host has failed


@contextlib.contextmanager
def serve_site(folder: Path, **settings: object) -> Iterator[Site]:
    """Start it, and leave nothing behind.

    Args:
        folder: For all files.
        settings: Of both hosts, as `serve` takes them.
    """
    with contextlib.ExitStack() as stack:
        try:
            net = stack.enter_context(make_net())
        except (OSError, subprocess.CalledProcessError) as error:
            why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            form = f"WEAK: two ports and relays, since network namespaces can't be had ({why})"
            redis, one, two = _on_ports(stack, folder, settings)
        else:
            form = f"network namespaces {', '.join(host.address for host in net.hosts)}"
            redis, one, two = _in_namespaces(stack, folder, net, settings)
        nginx = serve_nginx(folder / "nginx", hosts=(one.address, two.address), read_seconds=_READ_SECONDS)
        yield Site(form, one, two, redis, stack.enter_context(nginx))


def _in_namespaces(
    stack: contextlib.ExitStack, folder: Path, net: Net, settings: dict[str, object]
) -> tuple[Redis, Host, Host]:
    options = {"bind": f"127.0.0.1 {net.address}", "protected-mode": "no"}
    redis = stack.enter_context(serve_redis(folder / "redis", options=options))
    url = f"redis://{net.address}:{redis.port}/0"
    servers = (
        serve(folder / each.name, host=each.address, port=_PORT, through=each.through, **_settings(url, settings))
        for each in net.hosts
    )
    one, two = (
        Host(
            server,
            f"{server.host}:{server.port}",
            to_redis=FilteredWay(namespace, redis.port, is_ours=False),
            from_nginx=FilteredWay(namespace, _PORT, is_ours=True),
        )
        for namespace, server in zip(net.hosts, stack.enter_context(together(*servers)), strict=True)
    )
    return redis, one, two


class _RelayedWay:
    """Cut, its connections are reset, and new ones are ended at once."""

    def __init__(self, relay: Relay) -> None:
        self.cut = relay.block
        self.mend = relay.open


def _on_ports(stack: contextlib.ExitStack, folder: Path, settings: dict[str, object]) -> tuple[Redis, Host, Host]:
    redis = stack.enter_context(serve_redis(folder / "redis"))
    to_redis = [stack.enter_context(Relay(redis.port)) for _ in range(2)]
    servers = (
        serve(folder / str(way.port), **_settings(f"redis://127.0.0.1:{way.port}/0", settings)) for way in to_redis
    )
    one, two = (
        Host(server, f"127.0.0.1:{from_nginx.port}", _RelayedWay(way), _RelayedWay(from_nginx))
        for way, server in zip(to_redis, stack.enter_context(together(*servers)), strict=True)
        for from_nginx in [stack.enter_context(Relay(server.port))]
    )
    return redis, one, two


def _settings(url: str, settings: dict[str, object]) -> dict[str, object]:
    return {
        "broker_url": url,
        "jwt_key": JWT_KEY,
        "publish_rate": 0,
        "proxy_hops": 1,
        "heartbeat_seconds": _HEARTBEAT_SECONDS,
        **settings,
    }
