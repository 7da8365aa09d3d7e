"""P8: a client that vanished silently from the network is gone in time, whether something is on its way to it or not; one
that is there stays, although packets are lost."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import ssl
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from app.flask_simulcast.keepalive import keepalive_for
from tests.faults.sizes import SIZES
from tests.tools.clients import SSEClient
from tests.tools.nginx import Nginx, serve_nginx
from tests.tools.serving import Server, wait_until
from tests.tools.tiers import Store, on

HEARTBEAT_SECONDS = 1
CLONE_NEWNET = 0x40000000
PATH = "/api/v1/stream?channel=flow"
IMPATIENT = {"app": "tests.apps.impatient:app", "PATIENCE_SECONDS": SIZES.patience_seconds}
# The head of a request whose first packet is lost, after one of the handshake, comes 3 s later.
PATIENT_WITH_HEADS = {"app": "tests.apps.inspected:app", "KEEPALIVE": 15}
MOST_LOST = 6  # packets in a row, of each connection


def in_a_network_of_its_own(test: Callable[[], None]) -> None:
    """Run it in a thread that has a network namespace, which its child processes share, and which ends with them."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
                pytest.skip("network namespaces are not allowed here")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            test()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


class Loss:
    """Drops packets of a server, in both directions.

    Args:
        port: Of the server.
        client: Port of the one client whose packets are meant. The kernel gives it to others once the connection has ended;
            to this server not so soon.
        share: Of the packets, each by chance.
    """

    def __init__(self, port: int, client: int | None = None, share: float = 1.0) -> None:
        chance = () if share == 1 else ("-m", "statistic", "--mode", "random", "--probability", str(share))
        self._rules = [
            (
                "INPUT",
                "-p",
                "tcp",
                here,
                str(port),
                *(() if client is None else (there, str(client))),
                *chance,
                "-j",
                "DROP",
            )
            for here, there in (("--sport", "--dport"), ("--dport", "--sport"))
        ]
        self._port = port
        for rule in self._rules:
            _iptables("-A", *rule)

    @property
    def packets(self) -> int:
        """Return the number of packets dropped so far."""
        lines = _iptables("-vnxL", "INPUT").splitlines()
        return sum(int(line.split()[0]) for line in lines if f"pt:{self._port}" in line)

    def end(self) -> None:
        """Let packets through from now on."""
        for rule in self._rules:
            _iptables("-D", *rule)


def _iptables(*arguments: str) -> str:
    return subprocess.run(["iptables", "--wait", *arguments], check=True, capture_output=True, text=True).stdout


def vanish(client: SSEClient) -> None:
    """Drop all packets of this connection from now on, in both directions; even its end."""
    Loss(client.socket.getpeername()[1], client.socket.getsockname()[1])
    client.close()


@on("sqlite")
def test_p8_clients_that_vanish_silently_are_gone_in_time(store: Store) -> None:
    """The broker does not matter here."""

    def test() -> None:
        with store.serve(workers=1, heartbeat_seconds=HEARTBEAT_SECONDS, **IMPATIENT) as server:
            clients = [SSEClient(server.port, PATH) for _ in range(3)]
            for client in clients:
                client.until("connected")
            with SSEClient(server.port, PATH) as staying:
                staying.until("connected")
                for client in clients:
                    vanish(client)
                server.publish("flow", "on its way to all")
                assert staying.until("message").json == "on its way to all"
                assert listeners(server) == 4, "nobody can know yet"
                began = time.monotonic()
                wait_until(lambda: listeners(server) == 1, 60, "the vanished to be noticed")
                seconds = time.monotonic() - began
                server.publish("flow", "still there")
                assert staying.until("message").json == "still there"
        print(f"\ngone after {seconds:.1f} s")
        assert seconds < HEARTBEAT_SECONDS + 1.5 * SIZES.patience_seconds + 2

    in_a_network_of_its_own(test)


@on("sqlite")
def test_p8_idle_clients_that_vanish_are_gone_within_the_heartbeat_and_the_patience(store: Store) -> None:
    """scale-2 7.1. Nothing is published; with the long heartbeats it is the kernel's probes that tell."""

    def test() -> None:
        with contextlib.ExitStack() as stack:
            servers = {
                heartbeat: stack.enter_context(
                    store.serve(f"every-{heartbeat}", workers=1, heartbeat_seconds=heartbeat, **IMPATIENT)
                )
                for heartbeat in SIZES.heartbeats
            }
            for server in servers.values():
                client = SSEClient(server.port, PATH)
                client.until("connected")
                assert listeners(server) == 1
                vanish(client)
            began = time.monotonic()
            for heartbeat, server in servers.items():
                promised = heartbeat + SIZES.patience_seconds
                wait_until(lambda server=server: listeners(server) == 0, 1.5 * promised + 2, "it to be noticed")
                print(f"\nheartbeat {heartbeat} s: gone after {time.monotonic() - began:.1f} s, promised {promised}")

    in_a_network_of_its_own(test)


@on("sqlite")
def test_p8_idle_listeners_stay_while_probes_and_heartbeats_are_lost(store: Store) -> None:
    """scale-2 7.1: with a heartbeat of 30 s every third idle listener was cut, because one lost probe ended it. Here several in
    a row are lost, with the values that are deployed; and, once they have been made up for, each tenth packet.

    Both at once would be more than is promised: the kernel doubles the time between two attempts, so that only one or two of
    them are left after the lost ones, and each fails with 19 %.
    """

    def test() -> None:
        with contextlib.ExitStack() as stack:
            servers: dict[int, Server] = {}
            clients: dict[int, list[SSEClient]] = defaultdict(list)
            for heartbeat in SIZES.lossy_heartbeats:
                server = stack.enter_context(
                    store.serve(f"every-{heartbeat}", workers=1, heartbeat_seconds=heartbeat, **PATIENT_WITH_HEADS)
                )
                servers[heartbeat] = server
                for _ in range(SIZES.lossy_listeners):
                    client = stack.enter_context(SSEClient(server.port, PATH, timeout=120))
                    client.until("connected")
                    clients[heartbeat].append(client)
            losses = {heartbeat: Loss(server.port) for heartbeat, server in servers.items()}
            for heartbeat, loss in losses.items():
                silence = keepalive_for(heartbeat).user_timeout_seconds
                wanted = MOST_LOST * SIZES.lossy_listeners
                wait_until(lambda loss=loss, wanted=wanted: loss.packets >= wanted, silence, "packets to be lost")
                loss.end()
            for heartbeat, server in servers.items():
                for client in clients[heartbeat]:
                    client.until("heartbeat")
                Loss(server.port, share=0.1)
            for heartbeat in servers:
                for client in clients[heartbeat]:
                    client.until("heartbeat")
            for heartbeat, server in servers.items():
                assert listeners(server) == SIZES.lossy_listeners
                server.publish("flow", "still there")
                for client in clients[heartbeat]:
                    assert client.until("message").json == "still there"

    in_a_network_of_its_own(test)


@on("sqlite")
def test_p8_behind_nginx_an_idle_client_stays_while_probes_are_lost_and_a_vanished_one_is_gone(store: Store) -> None:
    """scale-2 7.1: nginx asks by itself, by ``so_keepalive``. Only probes are on the wire between these heartbeats."""

    def test() -> None:
        gunicorn_socket = store.folder / "g.sock"
        options = {"bind": f"unix:{gunicorn_socket}", "heartbeat_seconds": 30, "app": "tests.apps.inspected:app"}
        with (
            store.serve(workers=1, **options),
            serve_nginx(store.folder / "nginx", gunicorn_socket) as nginx,
            contextlib.ExitStack() as stack,
        ):
            clients = [stack.enter_context(connect(nginx)) for _ in range(5)]
            loss = Loss(nginx.port)
            wait_until(lambda: loss.packets >= 5 * len(clients), 20, "probes to be lost")
            loss.end()
            for client in clients:
                read_until(client, b"event: heartbeat")
            assert listeners_behind(nginx) == len(clients)
            # While a heartbeat is unacknowledged, the kernel sends no probes; a client may acknowledge it 40 ms later.
            wait_until(lambda: unacknowledged(nginx.port) == 0, 5, "the heartbeats to be acknowledged")
            began = time.monotonic()
            for client in clients:
                Loss(client.getpeername()[1], client.getsockname()[1])
            wait_until(lambda: listeners_behind(nginx) == 0, 5 * 14, "the vanished to be noticed")
            print(f"\nbehind nginx: gone after {time.monotonic() - began:.1f} s")

    in_a_network_of_its_own(test)


def connect(nginx: Nginx) -> ssl.SSLSocket:
    """A stream through nginx."""
    trust = ssl.create_default_context(cafile=str(nginx.certificate))
    plain = socket.create_connection(("127.0.0.1", nginx.port), timeout=60)
    client = trust.wrap_socket(plain, server_hostname="localhost")
    client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    read_until(client, b"event: connected")
    return client


def read_until(client: ssl.SSLSocket, wanted: bytes) -> None:
    """Read up to a text, and not much further."""
    text = b""
    while wanted not in text:
        piece = client.recv(65536)
        assert piece, text
        text += piece


def unacknowledged(port: int) -> int:
    """Bytes that a server has sent and that are not acknowledged yet, in this thread's network."""
    rows = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[0], 16) for row in rows if int(row[1].partition(":")[2], 16) == port)


def listeners_behind(nginx: Nginx) -> int:
    with nginx.client() as client:
        return int(client.get("/inspect").json()["listeners"])


def listeners(server: Server) -> int:
    return int(server.get_json("/inspect")["listeners"])
