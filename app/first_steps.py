"""First steps: what `scripts/run` shows a person at a terminal. gunicorn's master process calls this, which is not patched."""

from __future__ import annotations

import errno
import shlex
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PAGES = """
Simulcast    {url}/
Documents    {url}/docs/{how}"""
_FIRST_EVENT = """
Publish key  {key}

Listen, in a second terminal:
  curl -N '{url}/api/v1/stream?channel=news' -H "Authorization: Bearer {sent}"
Publish, in a third:
  curl '{url}/api/v1/events' -H "Authorization: Bearer {sent}" -H 'Content-Type: application/json' \\
    -d '{{"channel": "news", "data": {{"text": "hello"}}}}'
"""
_NOT_BUILT = " (./scripts/docs builds them, once)"
_BUILT = Path(__file__).resolve().parents[1] / "build" / "docs"


def refuse_taken_ports(addresses: Iterable[Any]) -> None:
    """End the process with one sentence if a port is taken. By itself gunicorn tries for five seconds, and does not say what to
    do.

    Args:
        addresses: Those of gunicorn: a host and a port, or the path of a socket.
    """
    for host, port, *_ in (address for address in addresses if isinstance(address, tuple)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    shown = f"[{host}]" if ":" in host else host
                    print(
                        f"Port {port} is already in use. Stop the program that has it (ss -ltnp 'sport = :{port}' shows it), "
                        f"or use another port: BIND={shown}:{port + 1} ./scripts/run",
                        file=sys.stderr,
                    )
                    sys.exit(2)


def show(listener: str, key_file: str) -> None:
    """Print what to open, and what to paste for a first event. The key itself is for a terminal alone, because other output
    might be stored.

    Args:
        listener: The URL on which the server listens; nothing is shown for a unix socket.
        key_file: File of the publish key that was made for this instance; empty for none.
    """
    if not listener.startswith("http"):
        return
    url = listener.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    how = "" if _BUILT.is_dir() else _NOT_BUILT
    if not key_file:
        print(_PAGES.format(url=url, how=how), end="\n\n", flush=True)
        return
    key = f"{Path(key_file).read_text().strip()} (from {key_file})" if sys.stdout.isatty() else f"in {key_file}"
    print((_PAGES + _FIRST_EVENT).format(url=url, how=how, key=key, sent=f"$(cat {shlex.quote(key_file)})"), flush=True)
