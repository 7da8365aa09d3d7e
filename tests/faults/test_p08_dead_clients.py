"""P8: a client that vanished from the network without a word is gone in time, whether something is on its way to it or not."""

from __future__ import annotations

import ctypes
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.clients import SSEClient
from tests.faults.sizes import SIZES
from tests.serving import Server, wait_until
from tests.tiers import Store, on

HEARTBEAT_SECONDS = 1
CLONE_NEWNET = 0x40000000
PATH = "/api/v1/stream?channel=flow"


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


def vanish(client: SSEClient) -> None:
    """From now on nothing of this connection gets through, in either direction; not even that it is closed."""
    port = str(client.socket.getsockname()[1])
    for side in ("--sport", "--dport"):
        subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", side, port, "-j", "DROP"], check=True)
    client.close()


@on("sqlite")
def test_p8_clients_that_vanish_without_a_word_are_gone_in_time(store: Store) -> None:
    """The broker has no part in it."""

    def test() -> None:
        options = {"heartbeat_seconds": HEARTBEAT_SECONDS, "app": "tests.apps.impatient:app"}
        options |= {"USER_TIMEOUT_MS": SIZES.user_timeout_ms}
        with store.serve(workers=1, **options) as server:
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
        assert seconds < HEARTBEAT_SECONDS + 1.5 * SIZES.user_timeout_ms / 1000 + 2

    in_a_network_of_its_own(test)


def listeners(server: Server) -> int:
    return int(server.get_json("/inspect")["listeners"])
