"""Reports: how an agent's figures reach the service: each by a PUT, or all by one call of ``Report``."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ....flask_simulcast.client import Client, ClientError, RefusedError, UnreachableError

_CALL = "/wukongs.v1.WukongService/Report"
# Reports that wait for the call: the service takes each at once, unless it is stuck.
_MOST_WAITING = 10
_OPTIONS = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000)]
_REFUSALS = frozenset(
    {"UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
)


class Reports(Protocol):
    """Takes figures to the service."""

    def send(self, figures: dict[str, Any], interval_seconds: float) -> None:
        """Send figures, and when the next ones come.

        Raises:
            ClientError: The service has not taken them, or not those before them.
        """

    def close(self) -> None:
        """Send nothing more. A report on its way can be lost."""


class Puts:
    """Sends each report as a request of its own.

    Args:
        client: A client of the service.
        path: Of the wukong.
    """

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = f"{path}/status"

    def send(self, figures: dict[str, Any], interval_seconds: float) -> None:
        """Send them, and wait for the answer."""
        self._client.request("PUT", self._path, figures, interval=f"{interval_seconds:g}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class OneCall:
    """Sends all reports on one call of gRPC, which answers only at its end. So the first report of each call goes by a PUT, and the
    agent knows at once whether the service takes reports.

    Args:
        url: Where the service takes calls.
        name: Name of the wukong.
        token: Returns the token for a new call.
        puts: Sends the first reports.

    Raises:
        ValueError: The URL can't be used.
        ImportError: grpcio is not installed.
    """

    def __init__(self, url: str, name: str, token: Callable[[], str], puts: Reports) -> None:
        import grpc

        from ..proto.wukongs.v1 import wukong_pb2

        self._channel = _channel(grpc, url)
        self._report = self._channel.stream_unary(
            _CALL, wukong_pb2.ReportRequest.SerializeToString, wukong_pb2.ReportResponse.FromString
        )
        self._request = wukong_pb2.ReportRequest
        self._name = name
        self._token = token
        self._puts = puts
        self._call: Any = None
        self._waiting: queue.Queue[Any] = queue.Queue()

    def send(self, figures: dict[str, Any], interval_seconds: float) -> None:
        """Send them on the call; begin one if there is none."""
        if self._call is None:
            self._puts.send(figures, interval_seconds)
            self._begin()
            return
        if self._call.done():
            raise self._ended()
        try:
            self._waiting.put_nowait(
                self._request(name=self._name, data=json.dumps(figures), interval_seconds=interval_seconds)
            )
        except queue.Full:
            self._call.cancel()
            raise self._ended() from None

    def _begin(self) -> None:
        self._waiting = queue.Queue(_MOST_WAITING)
        metadata = [("authorization", f"Bearer {self._token()}")]
        self._call = self._report.future(iter(self._waiting.get, None), metadata=metadata)

    def _ended(self) -> ClientError:
        """Return why the call ended, and forget it."""
        call, self._call = self._call, None
        self._release()
        name = call.code().name
        kind = RefusedError if name in _REFUSALS else UnreachableError
        return kind(f"The call has ended with {name}: {call.details()}", reason=name.lower())

    def _release(self) -> None:
        """End the thread of grpcio that waits for the next report."""
        with suppress(queue.Full):  # then it does not wait
            self._waiting.put_nowait(None)

    def close(self) -> None:
        """End the call."""
        self._release()
        self._channel.close()
        self._puts.close()


def target_of(url: str) -> str:
    """Return the host and the port of a URL, as grpcio takes them. Pure.

    Raises:
        ValueError: It is no http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname  # an IPv6 address
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _channel(grpc: Any, url: str) -> Any:
    target = target_of(url)
    if urlsplit(url).scheme == "http":
        return grpc.insecure_channel(target, _OPTIONS)
    roots = os.environ.get("SSL_CERT_FILE")
    trust = grpc.ssl_channel_credentials(Path(roots).read_bytes() if roots else None)
    return grpc.secure_channel(target, trust, _OPTIONS)
