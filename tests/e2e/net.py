"""Network namespaces as hosts: each has an address of its own on a bridge, and a way that is cut drops packets silently."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ADDRESS = "10.77.{}.{}"
_NUMBERS = range(100, 250)
_MOST_TRIES = 5


class Namespace(NamedTuple):
    """One host."""

    name: str
    address: str

    @property
    def through(self) -> tuple[str, ...]:
        """Runs the command after it in there."""
        return (_binary("ip"), "netns", "exec", self.name)


class Net:
    """A bridge with an address of this machine, and the hosts that hang on it. `remove` it at the end.

    Args:
        number: Of the addresses, 10.77.number.x, and in all names.
    """

    def __init__(self, number: int) -> None:
        self.address = _ADDRESS.format(number, 1)
        self._number = number
        self._bridge = f"simulcast{number}"
        run("ip", "link", "add", self._bridge, "type", "bridge")  # fails where there is one of this name
        self._undo = contextlib.ExitStack()
        self._undo.callback(run, "ip", "link", "delete", self._bridge)
        try:
            run("ip", "address", "add", f"{self.address}/24", "dev", self._bridge)
            run("ip", "link", "set", self._bridge, "up")
            self.hosts = [self._host(10 + number) for number in (1, 2)]
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """All of it."""
        self._undo.close()

    def _host(self, place: int) -> Namespace:
        host = Namespace(f"{self._bridge}-{place}", _ADDRESS.format(self._number, place))
        wire = f"sim{self._number}-{place}"
        run("ip", "netns", "add", host.name)
        self._undo.callback(run, "ip", "netns", "delete", host.name)
        run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        # It would go with the namespace, but that stays as long as a connection in it waits for its last packet.
        self._undo.callback(run, "ip", "link", "delete", wire)
        run("ip", "link", "set", wire, "master", self._bridge, "up")
        run("ip", "-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            run("ip", "-n", host.name, "link", "set", device, "up")
        run(*host.through, "iptables", "-S")  # whether it can be cut off
        return host


class FilteredWay:
    """Between a host and a TCP port. Cut, its packets vanish, and neither side is told.

    Args:
        host: Where they vanish.
        port: Of a server.
        is_ours: The server is the host's own.
    """

    def __init__(self, host: Namespace, port: int, *, is_ours: bool) -> None:
        coming, going = ("--dport", "--sport") if is_ours else ("--sport", "--dport")
        self._host = host
        self._rules = [
            (chain, "-p", "tcp", side, str(port), "-j", "DROP")
            for chain, side in (("INPUT", coming), ("OUTPUT", going))
        ]

    def cut(self) -> None:
        """From now on."""
        for rule in self._rules:
            self._change("-A", rule)

    def cut_in(self) -> None:
        """What comes, and not what goes."""
        self._change("-A", self._rules[0])

    def mend(self) -> None:
        """Everything gets through again, and what was sent meanwhile is sent anew by who still wants to."""
        for chain, *_ in self._rules:
            run(*self._host.through, "iptables", "--wait", "-F", chain)

    def _change(self, how: str, rule: Sequence[str]) -> None:
        run(*self._host.through, "iptables", "--wait", how, *rule)


@contextlib.contextmanager
def make_net() -> Iterator[Net]:
    """Two hosts on unused addresses. Everything is removed at the end.

    Raises:
        OSError: This user must not do it, or a tool is missing.
        subprocess.CalledProcessError: The system does not allow it. Its ``stderr`` says why.
    """
    if os.geteuid() != 0:
        raise PermissionError("not root")
    net = _make_net()
    try:
        yield net
    finally:
        net.remove()


def _make_net() -> Net:
    taken = run("ip", "-o", "address") + run("ip", "route")
    free = [number for number in _NUMBERS if _ADDRESS.format(number, "") not in taken]
    tries = [free[(os.getpid() + offset) % len(free)] for offset in range(_MOST_TRIES)]
    for number in tries[:-1]:
        with contextlib.suppress(subprocess.CalledProcessError):  # another process was faster, or it can't be at all
            return Net(number)
    return Net(tries[-1])


def run(*command: str) -> str:
    """A command that must succeed; its output."""
    return subprocess.run(
        [_binary(command[0]), *command[1:]], check=True, capture_output=True, text=True, timeout=10
    ).stdout


def _binary(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path
