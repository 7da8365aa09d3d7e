"""The publishers and listeners of a run, which record what happens. They judge nothing.

Events have numbers that no other event of the process has, so that a listener knows which event it got.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.checker import SOURCE_BITS, Attempt, Chain, Gap, History, Outcome, order
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, wait_until

_sources = itertools.count()
_PAUSE_SECONDS = 0.02  # before one tries again; shorter than any person or browser would
_TIMEOUT_SECONDS = 5
_EVENT = re.compile(rb'id: (\S+)\ndata: \{"n":(\d+)[,}].*')
_LENGTH = re.compile(rb"\ncontent-length: (\d+)", re.IGNORECASE)
_FIELD = re.compile(rb"^(id|event|data|retry): ?(.*)$", re.MULTILINE)


class Refusal(NamedTuple):
    """An answer other than 201."""

    at: float
    seconds: float
    status: int
    code: str
    retry_after: str | None


class Publisher(threading.Thread):
    """Publishes numbered events in batches.

    Args:
        history: To write into.
        ports: Of servers on the same log, in turn: another one after each connection that broke.
        channels: In turn.
        rate: Events a second; None for as fast as it is answered.
        batch: Events of one request.
        total: Number of events after which it stops by itself; None for `stop`.
        is_keyed: Each event has an idempotency key, and a batch is tried until it is stored. Otherwise once.
        size: Characters of padding in each event.
    """

    def __init__(
        self,
        history: History,
        ports: Sequence[int],
        channels: Sequence[str] = ("flow",),
        *,
        rate: float | None = None,
        batch: int = 100,
        total: int | None = None,
        is_keyed: bool = True,
        size: int = 0,
    ) -> None:
        super().__init__(daemon=True)
        self._history = history
        self._ports = itertools.cycle(ports)
        self._channels = list(channels)
        self._period = batch / rate if rate else 0.0
        self._batch = batch
        self._total = total
        self._is_keyed = is_keyed
        self._padding = "x" * size
        self._first = next(_sources) << SOURCE_BITS
        self._is_over = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self.tried = 0  # events of which it knows what became of them
        self.retries = 0
        self.turned_away = 0  # no worker accepted the connection
        self.slowest = 0.0  # seconds of one batch, with all its retries
        self.refusals: list[Refusal] = []

    def run(self) -> None:
        due = time.monotonic()
        while not self._is_over.is_set() and (self._total is None or self.tried < self._total):
            count = self._batch if self._total is None else min(self._batch, self._total - self.tried)
            self._publish(count)
            due += self._period
            self._is_over.wait(max(due - time.monotonic(), 0)) if self._period else None
        self._drop_connection()

    def stop(self) -> None:
        """Stop after the batch under way; what is not stored by then is given up."""
        self._is_over.set()
        self.join(30)
        assert not self.is_alive()

    def _publish(self, count: int) -> None:
        began = time.monotonic()
        numbers = range(self._first + self.tried, self._first + self.tried + count)
        channels = [self._channels[number % len(self._channels)] for number in numbers]
        body = self._body(numbers, channels)
        outcome, positions = self._post(body)
        is_uncertain = outcome is Outcome.UNCERTAIN
        while self._is_keyed and outcome is not Outcome.STORED and not self._is_over.wait(_PAUSE_SECONDS):
            self.retries += 1
            outcome, positions = self._post(body)
            is_uncertain |= outcome is Outcome.UNCERTAIN
        if outcome is not Outcome.STORED:
            outcome = Outcome.UNCERTAIN if is_uncertain else Outcome.REFUSED
            positions = [""] * count
        rows = zip(channels, numbers, positions, strict=True)
        self._history.attempts.extend([Attempt(c, n, outcome, position, began) for c, n, position in rows])
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.tried += count

    def _body(self, numbers: range, channels: list[str]) -> bytes:
        padding = f',"pad":"{self._padding}"' if self._padding else ""
        event = '{"channel":"%s","data":{"n":%d%s}%s}'
        keys = (f',"idempotency_key":"{number}"' if self._is_keyed else "" for number in numbers)
        rows = zip(channels, numbers, keys, strict=True)
        return f"[{','.join(event % (channel, number, padding, key) for channel, number, key in rows)}]".encode()

    def _post(self, body: bytes) -> tuple[Outcome, list[str]]:
        began = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", next(self._ports), timeout=_TIMEOUT_SECONDS)
                self._connection.connect()
        except OSError:  # nothing was sent
            self.turned_away += 1
            self._drop_connection()
            return Outcome.REFUSED, []
        try:
            self._connection.request("POST", "/api/v1/events", body, BEARER)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self._drop_connection()
            return Outcome.UNCERTAIN, []
        if response.status == 201:
            return Outcome.STORED, answer["positions"]
        assert response.status == 503, answer
        code, seconds = answer["error"]["code"], time.monotonic() - began
        self.refusals.append(Refusal(began, seconds, 503, code, response.headers["Retry-After"]))
        return Outcome.UNCERTAIN if code == "publish_uncertain" else Outcome.REFUSED, []

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Ending(NamedTuple):
    """The end of one connection of a listener."""

    at: float
    how: str  # "clean", "cut", or "refused": there was none
    reason: str  # of `closed`; "" without one
    retry_ms: int | None


@dataclass(eq=False)
class Client:
    """One listener of `Listeners`: what it has, and the connection that it has just now."""

    chain: Chain
    last_id: str = ""
    status: int = 0  # of the last response
    connected: list[float] = field(default_factory=list)  # when it was told `connected`
    heard: list[float] = field(default_factory=list)  # when it was told `heartbeat`
    endings: list[Ending] = field(default_factory=list)
    socket: socket.socket | None = None
    _raw: bytes = b""
    _text: bytes = b""
    _length: int | None = None  # that is still to come, where it was told
    _left: int = 0  # of the chunk under way, with the line end behind it
    _is_clean: bool = False
    _closed: tuple[str, int | None] = ("", None)

    def open(self, port: int, path: str, head: str) -> None:
        """Begin to connect."""
        self._raw = self._text = b""
        self._left = self.status = 0
        self._is_clean = False
        self._closed = ("", None)
        resume = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{head}{resume}\r\n".encode()
        )
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))

    def ask(self) -> None:
        """Send the request. Raises OSError if no worker accepts."""
        assert self.socket is not None
        self.socket.sendall(self._request)

    def take(self) -> bool:
        """Take what has come. False at the end of the connection."""
        assert self.socket is not None
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._raw += piece
        if not self.status and not self._take_head():
            return bool(piece)
        self._take_chunks()
        blocks, separator, rest = self._text.rpartition(b"\n\n")
        if separator:
            self._text = rest
            for block in blocks.split(b"\n\n"):
                self._take_block(block)
        return bool(piece) and not self._is_clean

    def close(self, now: float) -> Ending:
        """Note that its connection has ended."""
        assert self.socket is not None
        self.socket.close()
        self.socket = None
        how = "refused" if not self.status else "clean" if self._is_clean else "cut"
        self.endings.append(Ending(now, how, *self._closed))
        return self.endings[-1]

    def _take_head(self) -> bool:
        head, separator, rest = self._raw.partition(b"\r\n\r\n")
        if separator:
            self.status = int(head.split()[1])
            self._raw = rest
            length = _LENGTH.search(head)
            self._length = int(length[1]) if length else None
        return bool(separator)

    def _take_chunks(self) -> None:
        """A browser does not wait until a chunk is whole, and neither does this."""
        if self._length is not None:  # no stream: this worker accepts no listeners
            self._text, self._length, self._raw = self._text + self._raw, self._length - len(self._raw), b""
            self._is_clean = not self._length
            return
        while self._raw and not self._is_clean:
            if self._left:
                piece, self._raw = self._raw[: self._left], self._raw[self._left :]
                text = self._left - 2  # the line end is none of it
                self._text += piece[: max(text, 0)]
                self._left -= len(piece)
                continue
            size, separator, rest = self._raw.partition(b"\r\n")
            if not separator:
                return
            self._raw = rest
            self._left = int(size, 16) + 2
            self._is_clean = self._left == 2

    def _take_block(self, block: bytes) -> None:
        event = _EVENT.fullmatch(block)
        if event is not None:
            self.last_id = event[1].decode()
            self.chain.numbers.append(int(event[2]))
            self.chain.positions.append(self.last_id.partition("/")[0])  # without the channel
            return
        fields = {name.decode(): value.decode() for name, value in _FIELD.findall(block)}
        name, id = fields.get("event", "message"), fields.get("id", "")
        if "data" not in fields:
            return
        self.last_id = id or self.last_id
        if name == "connected":
            self.chain.connects += 1
            self.chain.start = self.chain.start or id
            self.connected.append(time.monotonic())
        elif name == "gap":
            self.chain.gaps.append(gap_of(json.loads(fields["data"]), len(self.chain.numbers)))
        elif name == "heartbeat":
            self.heard.append(time.monotonic())
        elif name == "closed":
            self._closed = (json.loads(fields["data"])["reason"], int(fields["retry"]) if "retry" in fields else None)
        else:
            raise AssertionError(f"nobody of this run has sent {block!r}")


def gap_of(told: dict[str, object], index: int) -> Gap:
    """A gap, and the number of events before it."""
    channels = told["channels"]
    assert isinstance(channels, list)
    return Gap(index, str(told["reason"]), tuple(channels), str(told["from"]), str(told["to"]), time.monotonic())


class Listeners(threading.Thread):
    """Many listeners in one thread. Each comes back as often as it must, from its last id. Use as a context manager.

    Args:
        history: To write into.
        port: Of a server, or of a relay before it.
        channels: Of each of them.
        obeys: Waits as long as `retry:` says after a goodbye, as a browser does. Otherwise hardly at all.
        headers: Of each request.
    """

    def __init__(
        self,
        history: History,
        port: int,
        channels: Sequence[Sequence[str]],
        *,
        obeys: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._history = history
        self._port = port
        self._obeys = obeys
        self._head = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Client]] = []  # who connects again, and when
        self._turns = itertools.count()
        self._is_over = threading.Event()
        self.clients = [Client(Chain(tuple(names))) for names in channels]
        history.chains.extend(client.chain for client in self.clients)

    def __enter__(self) -> Listeners:
        """Start, and wait until each listener has its first position."""
        for client in self.clients:
            self._open_at(0, client)
        self.start()
        wait_until(lambda: all(client.chain.start for client in self.clients), 30, "all to be connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join(10)
        for client in self.clients:
            if client.socket is not None:
                client.socket.close()
        self._selector.close()

    def finish(self, seconds: float = 30) -> None:
        """See `finish`."""
        finish(self._history, [client.chain for client in self.clients], seconds)

    def run(self) -> None:
        while not self._is_over.is_set():
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._open(heapq.heappop(self._due)[2])
            for key, _ in self._selector.select(0.01):
                client = key.data
                if not (self._ask(client) if key.events & selectors.EVENT_WRITE else client.take()):
                    self._close(client)

    def _open_at(self, at: float, client: Client) -> None:
        heapq.heappush(self._due, (at, next(self._turns), client))

    def _open(self, client: Client) -> None:
        query = "&".join(f"channel={name}" for name in client.chain.channels)
        client.open(self._port, f"/api/v1/stream?{query}", self._head)
        self._selector.register(client.socket, selectors.EVENT_WRITE, client)  # type: ignore[arg-type]

    def _ask(self, client: Client) -> bool:
        try:
            client.ask()
        except OSError:
            return False
        self._selector.modify(client.socket, selectors.EVENT_READ, client)  # type: ignore[arg-type]
        return True

    def _close(self, client: Client) -> None:
        self._selector.unregister(client.socket)  # type: ignore[arg-type]
        now = time.monotonic()
        ending = client.close(now)
        wait = ending.retry_ms / 1000 if self._obeys and ending.retry_ms else _PAUSE_SECONDS
        self._open_at(now + wait, client)


def finish(history: History, chains: Sequence[Chain], seconds: float = 30) -> None:
    """Wait until each has reached the last that was acknowledged, or for ``seconds``; from then on all of it is due."""
    last: dict[str, int] = {}
    for attempt in history.attempts:
        if attempt.outcome is Outcome.STORED:
            last[attempt.channel] = max(last.get(attempt.channel, 0), order(attempt.position))
    deadline = time.monotonic() + seconds
    for chain in chains:
        goal = max((last.get(channel, 0) for channel in chain.channels), default=0)
        while time.monotonic() < deadline and not _has_reached(chain, goal):
            time.sleep(0.01)
        chain.has_stayed = True


def _has_reached(chain: Chain, goal: int) -> bool:
    return (bool(chain.positions) and order(chain.positions[-1]) >= goal) or not goal


class Follower:
    """One listener whose each step is up to the test. Blocks.

    Attributes:
        chain: What it has.
        blocks: How many it got on this connection.
    """

    def __init__(self, history: History, *channels: str) -> None:
        self.chain = Chain(channels)
        history.chains.append(self.chain)
        self.last_id: str | None = None
        self.blocks = 0

    @property
    def path(self) -> str:
        """The path of its stream."""
        return "/api/v1/stream?" + "&".join(f"channel={name}" for name in self.chain.channels)

    def follow(self, client: SSEClient, is_enough: Callable[[], bool]) -> bool:
        """Take the events of one connection. Returns False if it ended before that was enough."""
        chain = self.chain
        chain.connects += 1
        self.blocks = 0
        try:
            while not is_enough():
                block = client.next()
                if block is None:
                    return False
                self.blocks += 1
                if block.type == "gap":
                    chain.gaps.append(gap_of(block.json, len(chain.numbers)))
                elif block.type == "connected":
                    chain.start = chain.start or block.position
                elif block.type == "message":
                    chain.numbers.append(block.json["n"])
                    chain.positions.append(block.position)
                self.last_id = client.last_id or self.last_id
        except (OSError, ValueError):  # cut in the middle of a line
            return False
        return True

    def resume(self, port: int, is_enough: Callable[[], bool], deadline: float) -> None:
        """Reconnect, again and again, until it is enough."""
        while not is_enough():
            assert time.monotonic() < deadline, f"{len(self.chain.numbers)} events after {self.chain.connects} connects"
            try:
                with SSEClient(port, self.path, last_event_id=self.last_id, timeout=_TIMEOUT_SECONDS) as client:
                    if client.status == 200:
                        self.follow(client, lambda: is_enough() or time.monotonic() > deadline)
            except OSError:
                time.sleep(_PAUSE_SECONDS)  # no worker accepts now
