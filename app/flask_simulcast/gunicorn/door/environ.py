"""Environ: the WSGI environ of a hot request, with what gunicorn's has: made from the same facts, by the same rules."""

from __future__ import annotations

import ipaddress
import os
from io import BytesIO
from typing import Any

from gunicorn.http.wsgi import base_environ

from .head import Head

_MOST_PEERS = 1024
_PORTS = {"http": "80", "https": "443"}


class Environs:
    """Makes the environs of the requests to one listening socket.

    Args:
        cfg: gunicorn's configuration.
        listening: Where it listens: an address with a port, or the path of a unix socket.
    """

    def __init__(self, cfg: Any, listening: Any) -> None:
        self._cfg = cfg
        self._secure: dict[str, str] = cfg.secure_scheme_headers
        self._listening = listening
        self._trusted: dict[str, bool] = {}
        self._base = base_environ(cfg) | {"wsgi.multithread": True, "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": ""}
        if isinstance(listening, tuple):
            self._base |= {"SERVER_NAME": listening[0], "SERVER_PORT": str(listening[1])}

    def of(self, head: Head, body: bytes, peer: Any) -> dict[str, Any] | None:
        """Return the environ of a request; None if gunicorn must decide.

        Args:
            peer: Address of the other end of the connection.
        """
        scheme = self._scheme_of(head, peer)
        if scheme is None:
            return None
        environ = {
            **self._base,
            **head.environ,
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": scheme,
            "REMOTE_ADDR": peer[0] if isinstance(peer, tuple) else os.fsdecode(peer),
        }
        if isinstance(peer, tuple):
            environ["REMOTE_PORT"] = str(peer[1])
        if not isinstance(self._listening, tuple):
            environ["SERVER_NAME"], environ["SERVER_PORT"] = self._name_of(head.headers.get("HOST", ""), scheme)
        return environ

    def _scheme_of(self, head: Head, peer: Any) -> str | None:
        said = [name for name in self._secure if name in head.headers]
        if not said or not self._is_trusted(peer):
            return "http"
        if len(said) > 1:
            return None
        (name,) = said
        return "https" if head.headers[name] == self._secure[name] else "http"

    def _is_trusted(self, peer: Any) -> bool:
        """Tell whether gunicorn believes what this peer says of the scheme."""
        if not isinstance(peer, tuple):
            return True
        known = self._trusted.get(peer[0])
        if known is None:
            if len(self._trusted) >= _MOST_PEERS:
                self._trusted.clear()
            known = self._trusted[peer[0]] = self._is_allowed(peer[0])
        return known

    def _is_allowed(self, address: str) -> bool:
        allowed = self._cfg.forwarded_allow_ips
        if "*" in allowed or not hasattr(self._cfg, "forwarded_allow_networks"):  # gunicorn 23 compares texts
            return "*" in allowed or address in allowed
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._cfg.forwarded_allow_networks())

    def _name_of(self, host: str, scheme: str) -> tuple[str, str]:
        if not host:
            return str(self._listening), ""
        name, *port = host.split(":")
        return name, port[0] if port else _PORTS[scheme]
