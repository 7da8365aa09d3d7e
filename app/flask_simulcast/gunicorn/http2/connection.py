"""Connection: one HTTP/2 connection. A greenlet reads it; each request has a greenlet of its own, until its stream parks.

Only callbacks of the loop and the reader write to the socket, so frames never mix. What all streams send in one turn of the loop
is one write.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import gevent
from gevent import get_hub
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from ...loop import Breather
from ...transports.output import Output
from ...transports.websocket.wire import Wire
from .allowance import Allowance
from .exchange import Exchange, Headers
from .outgoing import DATA_HEAD, Outgoing

#: Streams that one connection may have open.
MAX_STREAMS = 1000
# Bytes of one turn. If a client fills it with the smallest frames, they take 15 ms.
_READ_BYTES = 16 << 10
# Seconds for which the frames of a connection may hold the loop: what is there already is read without a switch.
_BREATHE_SECONDS = 0.005
# Of request bodies that wait in one connection; each stream has 64 KiB of it, HTTP/2's own default.
_WINDOW_BYTES = 1 << 20
_SETTINGS = {SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS, SettingCodes.MAX_HEADER_LIST_SIZE: 64 << 10}
# Bytes that wait for the socket. At the limit streams wait for room, as they do for a window.
_QUEUE_BYTES = 256 << 10
# A peer that is silent for this time gets a PING; for twice this time, it is gone.
_SILENT_SECONDS = 30.0
_LINGER_SECONDS = 1.0
# What a client needs, on a busy machine, from the settings to its first call.
_TAKE_UP_SECONDS = 0.5
# Of a peer's RST_STREAM frames (CVE-2023-44487), and of its PING, SETTINGS, PRIORITY, unknown and empty DATA frames.
_RESETS = 500, 100
_CONTROLS = 1000, 100
_numbers = count(1)
_CONTROL_EVENTS = (
    events.PingReceived, events.RemoteSettingsChanged, events.PriorityUpdated, events.UnknownFrameReceived,
)  # fmt: skip


class Connection:
    """One connection.

    Args:
        worker: gunicorn's worker.
        listener_name: The address at which it listens.
        client: gevent's socket, of which nothing was read.
        address: The client's.
        stall_seconds: Seconds after which a stream is reset whose client takes nothing.
        may_open: Tells whether the worker takes another stream.
        on_flood: Called with the reason when a client's frames are too many.
    """

    def __init__(
        self,
        worker: Any,
        listener_name: Any,
        client: Any,
        address: Any,
        *,
        stall_seconds: float,
        may_open: Callable[[], bool],
        on_flood: Callable[[str], object],
    ) -> None:
        self.number = next(_numbers)
        self.worker = worker
        self.listener_name = listener_name
        self.address = address
        self.stall_seconds = stall_seconds
        self.exchanges: dict[int, Exchange] = {}
        self.waiting: set[Exchange] = set()
        self._client = client
        self._may_open = may_open
        self._on_flood = on_flood
        self._wire = Wire(client)
        self._output = Output(self._wire, _QUEUE_BYTES, on_moved=self._has_room, on_broken=self.cut)
        # gunicorn has checked the headers of a response already; h2 would take 30 µs of each.
        known = H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False)
        self._h2 = H2Connection(known)
        self.outgoing = Outgoing(self._h2, self._output)
        self._resets, self._controls = Allowance(*_RESETS), Allowance(*_CONTROLS)
        self._breather = Breather(_BREATHE_SECONDS)
        self._last_id = 0
        self._has_opened = False  # the client has opened windows in this turn
        self._is_to_leave = False
        self._is_leaving = False
        self._is_ending = False
        self._is_cut = False

    def run(self) -> None:
        """Serve the connection until it ends. Switches."""
        # A change of the settings would hold, and be told, only after the client has confirmed the first ones.
        self._h2.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW_BYTES - self._h2.inbound_flow_control_window)
        self.outgoing.flush()
        try:
            while not self._is_ending and (data := self._receive()):
                self._take(data)
                self._breather.breathe()
            self._linger()
        except OSError:
            pass  # the client has left
        finally:
            self.cut()

    def _receive(self) -> bytes:
        """Return what the client sends; nothing if it has left, or answers no PING. Switches."""
        for is_asked in (False, True):
            with gevent.Timeout(_SILENT_SECONDS, False):  # type: ignore[arg-type]
                data: bytes = self._client.recv(_READ_BYTES)
                return data
            if not is_asked:
                self._h2.ping(b"simulcst")
                self.outgoing.flush()
        return b""

    def _take(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                if self._is_ending:
                    break
                self._handle(event)
        except ProtocolError:  # h2 has written the GOAWAY with its code; a flood of CONTINUATION is among these
            self._refuse("protocol_error", None)
        if self._has_opened:  # once, because each stream that waits tries to send
            self._has_opened = False
            self._has_room()
        if self._is_to_leave and self._last_id:
            self._go_away()
        # h2 looks at the length of a frame when it has all of it, which may be 16 MB.
        if len(self._h2.incoming_buffer._data) > self._h2.max_inbound_frame_size + DATA_HEAD.size:
            self._refuse("protocol_error", ErrorCodes.FRAME_SIZE_ERROR)
        self.outgoing.flush()

    def _linger(self) -> None:
        """Let the client read the last frames. An end with unread bytes would be a reset, which drops them. Switches."""
        with gevent.Timeout(_LINGER_SECONDS, False):  # type: ignore[arg-type]
            while not self._output.is_empty:
                self._output.wait_for_room()
            self._wire.end_output()
            while self._client.recv(_READ_BYTES):
                self._breather.breathe()  # without a switch the time is never over

    def _handle(self, event: events.Event) -> None:
        exchange = self.exchanges.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, events.RequestReceived):
            self._open(event)
        elif isinstance(event, events.DataReceived):
            self._received(event, exchange)
        elif isinstance(event, events.WindowUpdated):
            self._has_opened = True
        elif isinstance(event, events.StreamEnded):
            if exchange is not None:
                exchange.body.finish()
        elif isinstance(event, events.StreamReset):
            if exchange is not None:
                exchange.vanish()
            self._count(self._resets, "resets")
        elif isinstance(event, _CONTROL_EVENTS):
            self._count(self._controls, "control_frames")
            self._has_opened = True  # by the peer's settings, perhaps
        elif isinstance(event, events.ConnectionTerminated):
            self._is_leaving = True
            self._end_if_idle()

    def _open(self, event: events.RequestReceived) -> None:
        assert event.stream_id is not None and event.headers is not None
        if self._is_leaving or not self._may_open():
            self.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)  # the client may send it again, elsewhere
            return
        self._last_id = event.stream_id
        headers: Headers = [(str(name), str(value)) for name, value in event.headers]
        exchange = self.exchanges[event.stream_id] = Exchange(self, event.stream_id, headers)
        exchange.start()

    def _received(self, event: events.DataReceived, exchange: Exchange | None) -> None:
        data, size = event.data or b"", event.flow_controlled_length or 0
        if not data and event.stream_ended is None:
            self._count(self._controls, "control_frames")
        assert event.stream_id is not None
        unused = size if exchange is None else size - len(data)  # padding
        if unused:
            self.open_window(event.stream_id, unused)
        if exchange is not None and data:
            exchange.body.feed(data)

    def _count(self, allowance: Allowance, what: str) -> None:
        if not allowance.take():
            self._refuse(what, ErrorCodes.ENHANCE_YOUR_CALM)

    def _refuse(self, reason: str, code: int | None) -> None:
        """End the connection of a client that does not keep to the protocol, or to our limits.

        Args:
            code: For the GOAWAY; None if it is written already.
        """
        if not self._is_ending:
            self._on_flood(reason)
            if code is not None:
                self._h2.close_connection(code)
            self._end()

    # For the exchanges. Nothing here switches. h2 raises for a stream that the client has just reset, or a connection that has
    # just ended: the exchange is about to be told.

    def send_headers(self, stream_id: int, headers: Headers, *, end_stream: bool) -> None:
        """Send headers of a response."""
        with suppress(ProtocolError):
            self._h2.send_headers(stream_id, _encoded(headers), end_stream=end_stream)
            self.outgoing.take_up()

    def end(self, stream_id: int, trailers: Headers, *, is_read: bool) -> None:
        """End a response. A client that still sends is told to stop."""
        with suppress(ProtocolError):
            if trailers:
                self._h2.send_headers(stream_id, _encoded(trailers), end_stream=True)
            else:
                self._h2.end_stream(stream_id)
        if not is_read:
            self.reset(stream_id, ErrorCodes.NO_ERROR)
        self.outgoing.take_up()

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream at once."""
        with suppress(ProtocolError):
            self._h2.reset_stream(stream_id, code)
            self.outgoing.take_up()

    def open_window(self, stream_id: int, size: int) -> None:
        """Let the client send as many bytes again."""
        with suppress(ProtocolError):
            self._h2.acknowledge_received_data(size, stream_id)
            self.outgoing.take_up()

    def leave(self, exchange: Exchange) -> None:
        """Forget an exchange that is over. What the app has not read of its body may be sent again, by others."""
        self.exchanges.pop(exchange.stream_id, None)
        self.waiting.discard(exchange)
        if exchange.body.unread:
            self.open_window(exchange.stream_id, exchange.body.unread)
        get_hub().loop.run_callback(self._end_if_idle)

    def _has_room(self) -> None:
        waiting, self.waiting = self.waiting, set()
        for exchange in waiting:
            exchange.has_room()
        self._end_if_idle()

    # The end

    def say_goodbye(self) -> None:
        """Take no new stream. Those that are there end in their own time.

        A client that has begun no stream is told with its first one, or a moment later. grpcio, told before it has taken up the
        connection, would try its calls there again and again, and never see its end.
        """
        if self._last_id:
            self._go_away()
        elif not self._is_to_leave:
            self._is_to_leave = True
            gevent.spawn_later(_TAKE_UP_SECONDS, self._go_away)

    def _go_away(self) -> None:
        if not (self._is_leaving or self._is_ending):
            self._is_leaving = True
            self.outgoing.flush()
            # Not by h2, which would let no stream go on after it.
            self._output.put(GoAwayFrame(0, last_stream_id=self._last_id).serialize())
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._is_leaving and not self.exchanges and not self._is_ending:
            self._end()
            with suppress(OSError):
                self._client._sock.shutdown(socket.SHUT_RD)  # wakes the reader

    def _end(self) -> None:
        """Begin the end of the connection. Its reader goes on once everything is written."""
        self.outgoing.flush()
        self._vanish()

    def _vanish(self) -> None:
        self._is_ending = True
        for exchange in list(self.exchanges.values()):
            exchange.vanish()

    def cut(self) -> None:
        """End the connection, and all its streams."""
        if not self._is_cut:
            self._is_cut = True
            self._wire.cut()
            self._output.close()  # a socket that is broken is ready to be written to at each turn of the loop
            self._vanish()


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes. WSGI has them as latin-1 (PEP 3333); h2 would take them for texts."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
