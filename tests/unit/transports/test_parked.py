"""A stream that owns its socket: what the client reads, however slowly, is what was published; and nothing is left at the end."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from app.flask_simulcast.close_reason import CloseReason
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.loop import is_patched, let_others_in
from app.flask_simulcast.testing import read_sse
from app.flask_simulcast.transports.client_watch import HAS_EPOLL, watch_client
from app.flask_simulcast.transports.line import SocketLine
from app.flask_simulcast.transports.parked import Parked
from tests.unit.conftest import MakeHub
from tests.unit.moves import look_after
from tests.unit.readers import publish, settle

pytestmark = pytest.mark.skipif(
    not (HAS_EPOLL and is_patched()), reason="a stream parks in a patched process with epoll"
)

_SECONDS = 10


class Client:
    """The far end of a parked stream."""

    def __init__(self, hub: Hub, *, is_chunked: bool = True, is_slow: bool = False) -> None:
        self.hub = hub
        self.is_chunked = is_chunked
        ours, self.socket = socket.socketpair()
        if is_slow:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.bytes = b""
        self.has_ended = False
        self.listener = Listener(ListenRequest(("c",), SSE))
        hub.add_listener(self.listener)
        assert hub.next_chunk(self.listener, waits=False) == b""
        self.fd = ours.fileno()
        watch = watch_client(ours, lambda: None)
        assert watch is not None
        self.parked = Parked(hub, self.listener, SocketLine(ours.detach(), is_chunked=is_chunked), watch)
        assert self.parked.park()

    def read(self, most: int = 1 << 16) -> None:
        """Read what is there."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            try:
                data = self.socket.recv(most)
            except ConnectionResetError:
                data = b""
            self.has_ended = not data
            self.bytes += data

    def read_to_end(self) -> None:
        with gevent.Timeout(_SECONDS):
            while not self.has_ended:
                self.read()
                gevent.sleep(0.001)

    @property
    def body(self) -> bytes:
        """The body. Asserts that its framing is right to the last byte, and ended if the stream has."""
        if not self.is_chunked:
            return self.bytes
        body, rest, is_last = b"", self.bytes, False
        while rest:
            assert not is_last, "bytes after the last chunk"
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            body, is_last = body + rest[:length], not length
            assert rest[length : length + 2] == b"\r\n"
            rest = rest[length + 2 :]
        assert is_last == self.has_ended
        return body

    @property
    def data(self) -> list[str]:
        return [event.data for event in read_sse(self.body) if event.type == "message"]


def test_a_parked_listener_gets_its_events_without_a_greenlet(make_hub: MakeHub) -> None:
    hub = make_hub()
    framed, plain = Client(hub), Client(hub, is_chunked=False)
    look_after(hub)
    assert hub.metrics.gauges()["listeners_parked"] == 2
    publish(hub, 1, 2)
    settle()
    publish(hub, 3)
    settle()
    for client in (framed, plain):
        client.read()
        assert client.data == ["1", "2", "3"]
        assert client.listener.is_parked
        assert client.listener.events == 3
        client.socket.close()
    settle()
    assert not hub.listeners


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_far", [False, True])
def test_a_client_that_reads_in_fits_and_starts_gets_everything_once(
    make_hub: MakeHub, is_far: bool, seed: int
) -> None:
    """The socket takes chunks in parts; the client falls behind, catches up from history, and parks again."""
    dice = random.Random(seed)
    hub = make_hub(is_far=is_far, queue_bytes=2048)
    client = Client(hub, is_chunked=dice.random() < 0.5, is_slow=True)
    sent = []
    for n in range(300):
        sent.append(f'"{n}{"x" * dice.choice((0, 10, 500, 3000))}"')
        publish(hub, sent[-1])
        if dice.random() < 0.3:
            let_others_in()
        if dice.random() < 0.2:
            client.read(dice.choice((1, 100, 5000)))
    with gevent.Timeout(_SECONDS):
        while not (client.listener.is_parked and not client.listener.is_writing):
            client.read()
            let_others_in()
    client.read()
    assert client.data == sent
    assert hub.metrics.value("overflows_total") > 0
    client.socket.close()
    settle()


def test_a_large_event_behind_another_waits_for_the_client(make_hub: MakeHub) -> None:
    hub = make_hub(queue_bytes=2048)
    client = Client(hub, is_slow=True)
    sent = ['"' + letter * 60_000 + '"' for letter in "ab"]
    for data in sent:
        publish(hub, data)
        settle()
    assert client.listener.is_parked
    assert client.listener.is_writing
    publish(hub, '"c"')
    settle()
    assert not client.listener.is_parked, "more than that is read from history"
    with gevent.Timeout(_SECONDS):
        while not (client.listener.is_parked and not client.listener.is_writing):
            client.read()
            let_others_in()
    client.read()
    assert client.data == [*sent, '"c"']
    assert hub.metrics.value("overflows_total") == 1
    client.socket.close()
    settle()


@pytest.fixture(params=["empty", "full"])
def client(request: pytest.FixtureRequest, make_hub: MakeHub) -> Iterator[Client]:
    """A parked client, whose socket is empty or full."""
    hub = make_hub(stall_seconds=5)
    client = Client(hub, is_slow=True)
    if request.param == "full":
        while not client.listener.is_writing:
            publish(hub, '"' + "x" * 3000 + '"')
            settle()
        assert client.listener.is_parked
    yield client
    client.socket.close()


@pytest.mark.parametrize("reason", list(CloseReason))
def test_a_parked_stream_that_is_closed_says_why_and_gives_everything_back(client: Client, reason: CloseReason) -> None:
    hub = client.hub
    client.listener.close(reason)
    client.read_to_end()
    assert not hub.listeners
    assert hub.metrics.value("listener_closed_total", reason.value) == 1
    with pytest.raises(OSError):
        os.fstat(client.fd)
    if reason in (CloseReason.CLIENT_GONE, CloseReason.STALLED):
        return
    last = read_sse(client.body)[-1]
    assert last.type == "closed"
    assert last.json == {"reason": reason.value, "reconnect": reason.reconnect}


def test_a_goodbye_that_no_client_takes_is_cut(make_hub: MakeHub) -> None:
    hub = make_hub()
    client = Client(hub, is_slow=True)
    while not client.listener.is_writing:
        publish(hub, '"' + "x" * 3000 + '"')
        settle()
    client.listener.close(CloseReason.KICKED)
    settle()
    assert client.listener in hub.listeners, "it has a second"
    client.listener.since -= 1.1
    look_after(hub)
    settle()
    assert not hub.listeners
    client.read_to_end()
    client.socket.close()


def test_no_goodbye_follows_a_chunk_that_was_cut(make_hub: MakeHub) -> None:
    """The client would read it as the rest of an event, and take the position of an event that it has not got."""
    hub = make_hub(queue_bytes=1024)
    client = Client(hub, is_slow=True)
    while client.listener.is_parked:
        publish(hub, '"' + "x" * 3000 + '"')
        settle()
    client.listener.close(CloseReason.KICKED)
    client.listener.since -= 1.1
    look_after(hub)
    client.read()  # there is room now
    settle()
    assert not hub.listeners
    client.read_to_end()
    assert b"kicked" not in client.bytes
    client.socket.close()


def test_a_client_that_takes_nothing_is_stalled(make_hub: MakeHub) -> None:
    hub = make_hub(stall_seconds=5)
    client = Client(hub, is_slow=True)
    while not client.listener.is_writing:
        publish(hub, '"' + "x" * 3000 + '"')
        settle()
    publish(hub, 1)
    settle()
    client.listener.since -= 5.1
    look_after(hub)
    settle()
    assert hub.metrics.value("listener_closed_total", "stalled") == 1
    assert not hub.listeners
    client.socket.close()


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_client_that_leaves_is_noticed_at_once(make_hub: MakeHub, is_behind: bool) -> None:
    """Parked, and while it catches up in a greenlet that waits for the socket."""
    hub = make_hub(queue_bytes=1024)
    client = Client(hub, is_slow=True)
    if is_behind:
        while client.listener.is_parked:
            publish(hub, '"' + "x" * 3000 + '"')
            settle()
    client.socket.close()
    with gevent.Timeout(_SECONDS):
        while hub.listeners:
            let_others_in()
    assert hub.metrics.value("listener_closed_total", "client_gone") == 1
    with pytest.raises(OSError):
        os.fstat(client.fd)


def test_a_drain_tells_every_parked_stream(make_hub: MakeHub) -> None:
    hub = make_hub()
    clients = [Client(hub) for _ in range(200)]
    hub.drain()
    assert not hub.listeners
    for client in clients:
        client.read_to_end()
        assert read_sse(client.body)[-1].json == {"reason": "draining", "reconnect": True}
        client.socket.close()
