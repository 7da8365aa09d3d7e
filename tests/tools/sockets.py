"""A WebSocket for tests: JSON messages through a library that others wrote."""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any, cast

from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import connect

from tests.tools.serving import Server

_SECONDS = 15


class JSONSocket:
    """One connection. Use as a context manager.

    Attributes:
        ws: The library's own.
    """

    def __init__(
        self, server: Server, path: str, headers: dict[str, str] | None = None, *, receive_buffer: int | None = None
    ) -> None:
        plain = socket.socket()
        if receive_buffer is not None:  # before it is connected, or the kernel has chosen already
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", server.port))
        self._opened = connect(
            f"ws://127.0.0.1:{server.port}{path}",
            sock=plain,
            additional_headers=headers or {},
            proxy=None,
            open_timeout=_SECONDS,
            close_timeout=_SECONDS,
            ping_interval=None,
            max_size=None,
        )
        try:
            self.ws = self._opened.__enter__()
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> JSONSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """With 1000, and an answer to it."""
        self._opened.__exit__(None, None, None)

    def send(self, message: Any) -> None:
        """As JSON; text goes as it is."""
        self.ws.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def next(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        return cast("dict[str, Any]", json.loads(self.ws.recv(timeout=_SECONDS)))

    def take(self, count: int, *types: str) -> list[dict[str, Any]]:
        """Receive a number of messages of these types; of any type if none is named. Others are skipped."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = self.next()
            if not types or message["type"] in types:
                found.append(message)
        return found

    def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next message of this type, with these fields."""
        while True:
            (message,) = self.take(1, type)
            if fields.items() <= message.items():
                return message

    def ask(self, message: dict[str, Any], id: str | int = "1") -> dict[str, Any]:
        """Send it, and wait for what answers it; others are passed over."""
        self.send(message | {"id": id})
        while (answer := self.next()).get("id") != id:
            pass
        return answer

    def end(self) -> Close:
        """Read to the end; the close frame that came. The message before it says the same, and when to come back."""
        last: dict[str, Any] = {}
        try:
            while True:
                last = self.next()
        except ConnectionClosed as error:
            assert error.rcvd is not None, "it was cut"
            assert (last["type"], last["code"]) == ("closing", error.rcvd.code)
            assert ("retry_ms" in last) == last["reconnect"]
            return error.rcvd
