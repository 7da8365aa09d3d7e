"""A page of a browser that stays open: an EventSource, as far as the network sees it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
from httpx_sse import EventSource, ServerSentEvent

from tests.tools.serving import wait_until


class Page(threading.Thread):
    """Listens, and when the connection ends comes back by itself with its last id. Use as a context manager.

    Args:
        url: Of the stream.
        trust: The certificate to trust, for https.
        headers: A token, say.

    Attributes:
        events: All but the service's own words, in their order.
        times: When each of them came.
        beats: When there was a heartbeat.
        connects: When it was told that it is connected.
        ends: How many connections have ended, or never come about.
        gaps: What it was told that is missing.
        refusals: Answers other than 200. A browser would have given up for ever.
    """

    def __init__(self, url: str, *, trust: Path | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._verify = ssl.create_default_context(cafile=str(trust)) if trust else False
        self._headers = {"Accept": "text/event-stream"} | (headers or {})
        self._last_id = ""
        self._retry_seconds = 2.0
        self._is_over = threading.Event()
        self._socket: socket.socket | None = None
        self.events: list[ServerSentEvent] = []
        self.times: list[float] = []
        self.beats: list[float] = []
        self.connects: list[float] = []
        self.ends = 0
        self.gaps: list[str] = []
        self.refusals: list[int] = []

    @property
    def ids(self) -> list[str]:
        """Positions of its events."""
        return [event.id.partition("/")[0] for event in list(self.events)]

    def connected(self) -> Page:
        """Wait until it is."""
        wait_until(lambda: self.connects, 30, f"{self._url} to connect")
        return self

    def __enter__(self) -> Page:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._socket is not None:  # so that it does not wait for the next heartbeat
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self.join(40)
        assert not self.is_alive(), f"{self._url} was not left"

    def run(self) -> None:
        # What is longer than all silence that a test makes would hang: a browser waits for ever.
        with httpx.Client(verify=self._verify, timeout=30, trust_env=False) as client:
            while not self._is_over.is_set():
                with contextlib.suppress(httpx.TransportError):
                    self._listen(client)
                if not self._is_over.is_set():
                    self.ends += 1
                    self._is_over.wait(self._retry_seconds)

    def _listen(self, client: httpx.Client) -> None:
        headers = self._headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})
        with client.stream("GET", self._url, headers=headers) as response:
            self._socket = response.extensions["network_stream"].get_extra_info("socket")
            if response.status_code != 200:
                self.refusals.append(response.status_code)
                return
            for event in EventSource(response).iter_sse():
                self._take(event)
                if self._is_over.is_set():
                    return

    def _take(self, event: ServerSentEvent) -> None:
        self._last_id = event.id or self._last_id
        if event.retry is not None:
            self._retry_seconds = event.retry / 1000
        if event.event == "connected":
            self.connects.append(time.monotonic())
        elif event.event == "heartbeat":
            self.beats.append(time.monotonic())
        elif event.event == "gap":
            self.gaps.append(event.data)
        elif event.event != "closed":
            self.times.append(time.monotonic())
            self.events.append(event)
