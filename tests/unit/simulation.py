"""A world in which every switch of greenlets is decided by dice, and can be repeated.

The hub is real; its greenlets are not started. Wherever the code says that it lets others in, the dice choose what the
others do: publish, read on, make a pass, a step of another client, a broken connection. A client keeps what it was
sent, and at the end its events are compared with the log.

Where the broker's reads switch, each of these is a greenlet of its own, and the dice choose for how many turns of the others it
waits wherever it lets them in: before and after each read, too. Such a broker may be away for some reads.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import pytest

from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.encoding.sse import SSE
from app.flask_simulcast.errors import BrokerError
from app.flask_simulcast.event import ALL, LISTENER_PREFIX, USER_PREFIX, Draft, Event, Position
from app.flask_simulcast.grant import Grant
from app.flask_simulcast.hub import broadcaster
from app.flask_simulcast.hub import hub as hub_module
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listen_request import ListenRequest
from app.flask_simulcast.listener import Listener
from app.flask_simulcast.metrics import Metrics
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.testing import FakeClock, SSEReader
from tests.unit.far_broker import FarBroker, SwappedBroker
from tests.unit.moves import look_after, make_pass, position_of, step

CHANNELS = ("a", "b", "c")
USERS = ("", "ann", "bob")
_DEPTH = 3
_GREENLETS = 12


class Client:
    """A client that listens, loses the connection, and comes back with the last id.

    Attributes:
        follows: Its channels, what goes to all, and what goes to its user.
        events: ``(position, gap)`` in the order in which they came; one of the two is None. Without `own`.
        own: Positions of what was sent to its connections alone.
        start: The position that its first ``connected`` told.
    """

    def __init__(self, channels: tuple[str, ...], user: str = "") -> None:
        self.channels = channels
        self.user = user
        self.follows = (*channels, ALL, USER_PREFIX + user) if user else (*channels, ALL)
        self.own: list[Position] = []
        self.reader = SSEReader()
        self.listener: Listener | None = None
        self.sent = b""  # on its way
        self.events: list[tuple[str | None, dict[str, Any] | None]] = []
        self.start: Position | None = None
        self.is_busy = False

    def receive(self, chunk: bytes) -> None:
        """Take bytes that arrive."""
        for event in self.reader.feed(chunk):
            if event.type == "gap":
                self.events.append((None, json.loads(event.data)))
            elif event.type == "connected":
                self.start = self.start or Position.parse(event.id)
            elif event.type != "heartbeat":
                channel = json.loads(event.data)
                if channel.startswith(LISTENER_PREFIX):
                    assert self.listener is not None
                    assert channel == LISTENER_PREFIX + self.listener.id
                    position = Position.parse(event.id)
                    assert position is not None
                    self.own.append(position)
                else:
                    assert channel in self.follows
                    self.events.append((event.id, None))

    @property
    def positions(self) -> list[Position]:
        """Return the positions of the events that it got."""
        return [position for text, _ in self.events if text and (position := Position.parse(text))]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        """Return the gaps that it was told."""
        return [gap for _, gap in self.events if gap is not None]


class World:
    """One worker and its clients.

    Args:
        monkeypatch: Ends the world with the test.
        seed: Of the dice.
        is_far: The broker's reads switch.
        settings: Of the hub.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int, *, is_far: bool = False, **settings: Any) -> None:
        self.dice = random.Random(seed)
        self.clock = FakeClock()
        values = Settings(broker_url="memory://", **settings)
        self.is_far = is_far
        self.broker = FarBroker(values, self.clock, self.switch) if is_far else SwappedBroker(values, self.clock)
        self.hub = Hub(self.broker, values, Metrics())
        self.clients: list[Client] = []
        self.log: list[Event] = []
        self.queue_bytes = 64 << 10
        self.is_quiet = False
        self.may_age = False
        self.may_swap = False
        self.may_fail = False
        self.may_lose = False
        self._greenlets: list[gevent.Greenlet[[], None]] = []
        self._is_reading = False
        self._backup: tuple[MemoryBroker, int] | None = None
        self._depth = 0
        self._is_in_pass = False
        hub = self.hub
        monkeypatch.setattr(hub_module, "has_loop", lambda: True)
        monkeypatch.setattr(hub._catch_up._slice, "wait", self.switch)
        monkeypatch.setattr(broadcaster, "let_others_in", self.switch)
        monkeypatch.setattr(broadcaster, "_LISTENERS_A_TURN", 1)
        monkeypatch.setattr(hub._broadcaster, "wait_for_pass", lambda seconds: self.switch())
        monkeypatch.setattr(hub._maintenance, "run_if_due", lambda: None)
        monkeypatch.setattr(hub._broadcaster, "start", lambda: None)
        monkeypatch.setattr(hub._broadcaster, "_heartbeat_seconds", -1)

        monkeypatch.setattr(hub._pump, "_run", lambda: None)
        monkeypatch.setattr(hub._place_reporter, "start", lambda: None)
        if is_far:  # as few as the settings say
            hub._ring._max_events = hub_module.RING_EVENTS

    def end(self) -> None:
        """Remove all listeners."""
        self.is_quiet = True
        self._depth = _DEPTH
        for listener in list(self.hub.listeners):
            self.hub.remove_listener(listener)
        assert self.hub._switchboard.audiences == {}
        assert self.hub._switchboard.channels == {}
        self.hub._pump._greenlet = None
        self.hub.close()

    # What may happen

    def switch(self) -> None:
        """Let other greenlets run."""
        if self.is_far:
            for _ in range(self.dice.choice((0, 1, 1, 2, 3, 8))):
                gevent.sleep(0)
            return
        if self._depth >= _DEPTH:
            return
        self._depth += 1
        try:
            for _ in range(self.dice.choice((0, 0, 1, 1, 2, 5, 20))):
                self.act()
        finally:
            self._depth -= 1

    def act(self) -> None:
        """Do one random thing."""
        actions: list[Any] = [self.read_on, self.make_pass, self.step_somebody, self.step_somebody, self.step_somebody]
        if not self.is_quiet:
            actions += [self.publish, self.publish, self.come, self.break_somebody, self.beat]
            if self.may_age and self.dice.random() < 0.2:
                actions.append(self.age)
            if self.may_swap and self.dice.random() < 0.1:
                actions.append(self.swap)
            if self.may_fail and self.dice.random() < 0.2:
                actions.append(self.hub._scatter)  # as when a pass has failed
            if self.may_lose and self.dice.random() < 0.1:
                actions.append(self.lose)
        action = self.dice.choice(actions)
        if self.is_far:
            self.begin(action)
        else:
            action()

    def begin(self, action: Callable[[], None]) -> None:
        """Start it beside others, up to a dozen."""
        self._greenlets.append(gevent.spawn(action))
        self.switch()
        while len(self._greenlets) >= _GREENLETS:
            gevent.sleep(0)
            self._greenlets = [greenlet for greenlet in self._greenlets if not greenlet.successful()]
            assert not any(greenlet.dead for greenlet in self._greenlets), "one failed"

    def lose(self) -> None:
        """Take the log away for a while."""
        assert isinstance(self.broker, FarBroker)
        self.broker.fails += self.dice.choice((1, 2, 5, 20))

    def publish(self) -> None:
        """Publish through this worker or another one."""
        self.append()
        if self.dice.random() < 0.5:
            self.read_on()

    def append(self) -> None:
        """Append a few events to any channels."""
        self.clock.advance(self.dice.choice((0, 0, 0.001)))
        drafts = []
        for _ in range(self.dice.choice((1, 1, 3))):
            channel = self.dice.choice((*CHANNELS, *CHANNELS, *self.reserved()))
            drafts.append(Draft(channel, "message", f'"{channel}"'))
        positions = self.broker.append(drafts)
        self.log += [Event(p, d.channel, d.type, d.data) for p, d in zip(positions, drafts, strict=True)]

    def reserved(self) -> list[str]:
        """Append events for all, for users, for single connections."""
        return [
            ALL,
            *[USER_PREFIX + user for user in USERS if user],
            *[LISTENER_PREFIX + client.listener.id for client in self.clients if client.listener],
        ]

    def read_on(self) -> None:
        """Let the pump read on, or a publisher for it. If reads switch, only one greenlet reads."""
        pump = self.hub._pump
        if not pump.is_running or self._is_reading:
            return
        if not self.is_far:
            pump.catch_up()
            return
        self._is_reading = True
        with suppress(BrokerError):
            while pump.advance():
                self.switch()
        self._is_reading = False

    def make_pass(self) -> None:
        """Make a pass. Only one greenlet does."""
        if not self._is_in_pass:
            self._is_in_pass = True
            make_pass(self.hub)
            self._is_in_pass = False

    def beat(self) -> None:
        """Send heartbeats. The greenlet of the passes does."""
        if not self._is_in_pass:
            look_after(self.hub)

    def age(self) -> None:
        """Let time pass, and trim the log; the worker reads on, or is frozen, while others publish."""
        if self._is_in_pass:
            return  # no pass takes that much time: what waits to be handed out would be trimmed, and told to be missing
        is_frozen = self.dice.random() < 0.5
        for _ in range(3):
            self.make_pass()
            if is_frozen:
                self.append()
            else:
                self.read_on()
            self.clock.advance(6)
            self.hub._catch_up._pages.forget()  # by the clock of the world they are over
            self.hub._catch_up._verdicts.clear()
            self.broker.maintain()

    def swap(self) -> None:
        """Make a backup, or restore it."""
        if self._backup is None or self.dice.random() < 0.5:
            self._backup = (self.broker.copy(), len(self.log))
        else:
            copy, length = self._backup
            self._backup = None
            self.broker.restore(copy)
            del self.log[length:]
            if self.dice.random() < 0.5:
                self.clock.advance(0.001)

    # Clients

    def come(self) -> None:
        """Add a client, up to twelve."""
        if len(self.clients) < 12:
            channels = tuple(sorted(self.dice.sample(CHANNELS, self.dice.choice((1, 1, 2, 3)))))
            client = Client(channels, self.dice.choice(USERS))
            self.clients.append(client)
            self.connect(client)

    def connect(self, client: Client) -> None:
        """Connect with the last id. A refused client tries again at its next turn."""
        resume = client.reader.last_event_id or None
        grant = Grant(user=client.user)
        listener = Listener(
            ListenRequest(client.channels, SSE, resume=resume, grant=grant, queue_bytes=self.queue_bytes)
        )
        client.own = []
        client.sent = b""
        client.is_busy = True
        try:
            client.sent = self.hub.add_listener(listener)
            client.listener = listener
            listener.writes(b"")
        except BrokerError:
            assert listener not in self.hub.listeners
        client.is_busy = False

    def step_somebody(self) -> None:
        if self.clients:
            self.step(self.dice.choice(self.clients))

    def step(self, client: Client) -> None:
        """Deliver what was sent; then the server asks for more, like one round of `Hub.next_chunk`."""
        listener = client.listener
        if client.is_busy:
            return
        if listener is None:
            self.connect(client)
            return
        client.is_busy = True
        client.receive(client.sent)
        client.sent = b""
        listener.waits()
        if not listener.is_live:
            with suppress(BrokerError):
                client.sent = step(self.hub, listener)
        elif not listener._queue.is_empty:
            client.sent = listener.take(hub_module.PAGE_BYTES)
        if client.sent:
            listener.writes(b"")
        client.is_busy = False

    def break_somebody(self) -> None:
        """Break a connection with part of a chunk on its way; the client comes back at once."""
        client = self.dice.choice(self.clients) if self.clients else None
        if client is not None and not client.is_busy and self.dice.random() < 0.3:
            client.receive(client.sent[: self.dice.randrange(len(client.sent) + 1)])
            self.leave(client)
            last_id = client.reader.last_event_id
            client.reader = SSEReader()  # what is unfinished is thrown away
            client.reader._id = client.reader.last_event_id = last_id
            self.connect(client)

    def leave(self, client: Client) -> None:
        if client.listener is not None:
            self.hub.remove_listener(client.listener)
            client.listener = None

    # The end

    def run(self, actions: int) -> None:
        """Do a number of random steps, then stop publishing until every client has all events."""
        for _ in range(actions):
            self.act()
        self.is_quiet = True
        if isinstance(self.broker, FarBroker):
            self.broker.fails = 0
            gevent.joinall(self._greenlets, timeout=30, raise_error=True)
            assert all(greenlet.successful() for greenlet in self._greenlets), "one hangs"
        head = self.broker.log.head()
        for _ in range(500):
            for _ in range(3):
                self.read_on()
            self.make_pass()
            for client in self.clients:
                self.step(client)
            if all(self.has_all(client) for client in self.clients):
                break
        else:
            raise AssertionError("somebody never got live")
        assert position_of(self.hub) == head or not self.clients

    @staticmethod
    def has_all(client: Client) -> bool:
        """Tell whether it is live, with nothing on its way."""
        if client.is_busy:
            return False
        listener = client.listener
        return listener is not None and listener.is_live and not client.sent and listener._queue.is_empty

    def owed(self, client: Client, after: Position) -> list[Position]:
        """Return the events of the log for a client after a position."""
        return [e.position for e in self.log if e.channel in client.follows and e.position.key > after.key]

    def owed_alone(self, client: Client) -> list[Position]:
        """Return the events of the log for its last connection alone."""
        assert client.listener is not None
        return [e.position for e in self.log if e.channel == LISTENER_PREFIX + client.listener.id]
