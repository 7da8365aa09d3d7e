"""A real nginx with deploy/nginx.conf: only ports, paths and the user are other ones."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.tools.require import require
from tests.tools.serving import BEARER, ROOT, free_port, wait_until

_SOCKET = "/run/simulcast/gunicorn.sock"


class Nginx:
    """One master, its workers, and its files."""

    def __init__(
        self, folder: Path, process: subprocess.Popen[bytes], port: int, plain_port: int, grpc_port: int = 0
    ) -> None:
        self.grpc_port = grpc_port
        self.folder = folder
        self.process = process
        self.port = port
        self.plain_port = plain_port
        self.url = f"https://localhost:{port}"
        self.certificate = folder / "tls" / "simulcast.crt"

    @property
    def logs(self) -> str:
        """All that it wrote."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def client(self) -> httpx.Client:
        """Over TLS and HTTP/1.1, trusting this nginx alone."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.url, verify=trust, timeout=15, trust_env=False)

    def publish(self, channel: str, *data: object) -> None:
        """Publish with the key."""
        events = [{"channel": channel, "data": value} for value in data]
        with self.client() as client:
            response = client.post("/api/v1/events", json=events, headers=BEARER)
        assert response.status_code == 201, response.text

    def reload(self) -> None:
        """HUP; returns when new workers have taken over and the old ones only finish what they have."""
        old = self._workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._workers() - old, 10, "new workers of nginx")
        wait_until(lambda: all(_is_leaving(pid) for pid in old), 10, "the old workers of nginx to stop accepting")

    def _workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def stop(self) -> None:
        """TERM: at once. Its workers go with it."""
        workers = self._workers()
        self.process.terminate()
        self.process.wait(10)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), 10, "nginx's workers to be gone")


@contextlib.contextmanager
def serve_nginx(
    folder: Path,
    gunicorn_socket: Path | None = None,
    *,
    hosts: Sequence[str] = (),
    read_seconds: int = 60,
    allowed_origin: str = "",
    changes: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Nginx]:
    """Start nginx as it is deployed, in the foreground, and stop it at the end.

    Args:
        gunicorn_socket: Of the only host.
        hosts: Two addresses with ports, instead: a fleet.
        read_seconds: Its patience with a stream.
        allowed_origin: For the file's list of origins.
        changes: Text of the file, and what stands in its place.
    """
    binary = require("nginx", shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
    tls = folder / "tls"
    tls.mkdir(parents=True)
    make_certificate(tls)
    port, plain_port, grpc_port = free_port(), free_port(), free_port()
    config = folder / "nginx.conf"
    deployed = (ROOT / "deploy" / "nginx.conf").read_text()
    text = _for_fleet(deployed, hosts) if hosts else _replaced(deployed, {_SOCKET: str(gunicorn_socket)})
    text = _replaced(text, _own_places(folder, port, plain_port, grpc_port))
    text = _replaced(text, {"proxy_read_timeout 60s": f"proxy_read_timeout {read_seconds}s"})
    if allowed_origin:
        text = _replaced(text, {"# https://app.example": allowed_origin})
    text = _replaced(text, changes)
    config.write_text(text)
    with _running(binary, config, port, plain_port, grpc_port) as nginx:
        yield nginx


@contextlib.contextmanager
def serve_config(folder: Path, servers: str) -> Iterator[Nginx]:
    """Start nginx with another configuration than the deployed one.

    Args:
        servers: The inside of ``http { }``. ``PORT`` stands for the port of the first server, which serves TLS if it says so.
    """
    binary = require("nginx", shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
    tls = folder / "tls"
    tls.mkdir(parents=True)
    make_certificate(tls)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"user {getpass.getuser()};\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{{_scratch(folder)}\n    access_log off;\n{servers.replace('PORT', str(port))}\n}}\n"
    )
    with _running(binary, config, port, port) as nginx:
        yield nginx


@contextlib.contextmanager
def _running(binary: str, config: Path, port: int, plain_port: int, grpc_port: int = 0) -> Iterator[Nginx]:
    folder = config.parent
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            [binary, "-c", str(config), "-e", str(folder / "start.log"), "-g", "daemon off;"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    nginx = Nginx(folder, process, port, plain_port, grpc_port)
    try:
        wait_until(lambda: process.poll() is not None or (folder / "nginx.pid").exists(), 10, "nginx to start")
        assert process.poll() is None, nginx.logs
        yield nginx
    finally:
        if process.poll() is None:
            nginx.stop()


def _scratch(folder: Path) -> str:
    """Where it keeps bodies that it collects."""
    return "".join(
        f"\n    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )


def _own_places(folder: Path, port: int, plain_port: int, grpc_port: int) -> dict[str, str]:
    """What is another one in a test."""
    return {
        "user www-data;": f"user {getpass.getuser()};",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx/": f"{folder}/",
        "/etc/nginx/tls/": f"{folder}/tls/",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "listen 50051 ": f"listen 127.0.0.1:{grpc_port} ",
        "http {\n": f"http {{{_scratch(folder)}\n",
    }


def _for_fleet(text: str, hosts: Sequence[str]) -> str:
    """As its first lines say."""
    text = re.sub(r"^.*# one host$", "", text, flags=re.MULTILINE).replace("#fleet: ", "")
    return _replaced(text, {f"10.0.0.1{number}:8000": host for number, host in enumerate(hosts, start=1)})


def _replaced(text: str, places: Mapping[str, str]) -> str:
    """Each replacement must still find its place."""
    for deployed, tested in places.items():
        assert deployed in text, f"deploy/nginx.conf has no {deployed!r}"
        text = text.replace(deployed, tested)
    return text


def make_certificate(folder: Path) -> None:
    openssl = require("openssl", shutil.which("openssl"))
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(folder / "simulcast.key"), "-out", str(folder / "simulcast.crt")]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([openssl, *command.split(), *names, *files], check=True, capture_output=True)


def _is_leaving(pid: int) -> bool:
    """nginx says so in the title of a worker's process."""
    try:
        return "shutting down" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
