"""The real agent as a process of its own, for tests."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.identity.tokens import mint
from tests.tools.clients import SSEClient
from tests.tools.fleet import JWT_KEY, call
from tests.tools.serving import BEARER, PATHS, ROOT, STARTUP, Server, wait_until

CARRIED_OUT = re.compile(r"Command (\w+) carried out")


class AgentProcess:
    """One agent, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self.process = process
        self._file = file

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._file.read_text()

    def wait_for(self, text: str, times: int = 1, seconds: float = 30) -> None:
        """Wait until it has said this a number of times. If it does not, the failure has what it said, and where it hangs."""
        try:
            wait_until(lambda: self.log.count(text) >= times, seconds, f"{times} times {text!r}")
        except AssertionError as error:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"{error}; it said:\n{self.log}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; the status it ends with."""
        self.process.send_signal(number)
        return self.process.wait(10)


def agent_token(name: str, **claims: Any) -> str:
    """What an agent needs, and nothing else."""
    rights = {"publish": [f"wukong:{name}", f"wukong-replies.{name}"], "subscribe": [f"wukong-agent.{name}"]}
    return mint(JWT_KEY, seconds=600, user=name, **(rights | claims))


@contextlib.contextmanager
def agent(
    folder: Path, name: str, port: int, *options: str, token: str | None = None, command: str = "module"
) -> Iterator[AgentProcess]:
    """Start it; kill it at the end, if it still runs.

    Args:
        folder: Its working directory.
        options: More of the command line.
        token: In its environment; one for this name when left out, none when empty.
        command: ``module``, or ``flask`` for the one of the service, which finds its own code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMULCAST_")}
    environment |= {"PYTHONPATH": PATHS if command == "module" else STARTUP, "PYTHONFAULTHANDLER": "1"}
    token = agent_token(name) if token is None else token
    if token:
        environment["SIMULCAST_AGENT_TOKEN"] = token
    program = (
        ["-m", "app.features.wukongs.agent"]
        if command == "module"
        else ["-m", "flask", "--app", str(ROOT / "wsgi"), "wukong", "agent"]
    )
    file = folder / f"{name}.log"
    with file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "--name", name, "--url", f"http://127.0.0.1:{port}", *options],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield AgentProcess(process, file)
    finally:
        process.kill()
        process.wait(10)


def members(server: Server, name: str) -> list[dict[str, Any]]:
    """The members of the channel where its commands go."""
    return list(call(server, "GET", f"/channels/wukong-agent.{name}/presence")["members"])


def listener(server: Server, name: str) -> SSEClient:
    """The connection of an agent that listens, and does nothing."""
    client = SSEClient(server.port, f"/api/v1/wukongs/{name}/commands", headers=BEARER)
    client.until("connected")
    wait_until(
        lambda: [one for one in members(server, name) if "agent" in one["member"] and "\n" in one["member"]],
        5,
        "the agent to be there",
    )
    return client


def order(server: Server, name: str, command: str, args: Any = None, *, wait: float = 10, status: int = 200) -> Any:
    """Send a command with the key, and wait for its answer."""
    body = {"command": command, "args": args or {}}
    return call(server, "POST", f"/wukongs/{name}/commands?wait={wait}", body, status=status)


def results(server: Server, name: str) -> list[dict[str, Any]]:
    """Return all answers of a wukong in the log."""
    history = call(server, "GET", f"/channels/wukong-replies.{name}/history?limit=1000")
    return [event["data"] for event in history["events"] if event["type"] == "command-result"]


def state(server: Server, name: str) -> str:
    return str(call(server, "GET", f"/wukongs/{name}")["state"])
