"""Exchange: one stream of an HTTP/2 connection, with its request and its response.

gunicorn makes the environ of its request, runs the app and checks the response, by the code that it has for HTTP/2. To gunicorn
an exchange is the stream and the connection; to a stream of events it is the client's socket, and the line on which it parks.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event as Flag
from gunicorn.http.message import TOKEN_RE
from gunicorn.http.wsgi import HEADER_VALUE_RE
from gunicorn.http2.errors import HTTP2StreamError
from gunicorn.http2.request import HTTP2Request
from h2.errors import ErrorCodes

from ...encoding.rpc.codes import code_of_foreign_status
from .body import Body, BodyFile

if TYPE_CHECKING:
    from .connection import Connection

Headers = list[tuple[str, str]]

_NONE: Headers = []
# The body of all streams whose clients have nothing more to say.
_READ = Body()
_READ.finish()
# Bytes of a response that a client must take in `stall_seconds`, or all that is left.
_PIECE_BYTES = 64 << 10
_TRAILERS = 0x80  # the flag of the envelope that ends a call of gRPC
_ENVELOPE_HEAD = 5
_GRPC = "application/grpc"


class Exchange:
    """One stream.

    Args:
        connection: Its connection.
        stream_id: Its number.
        headers: Of the request.
    """

    __slots__ = (
        "_answers_grpc", "_asks_grpc", "_connection", "_greenlet", "_headers", "_is_parked", "_is_whole", "_on_room", "_room",
        "_trailers", "body", "expect_continue", "is_over", "on_gone", "stream_id",
    )  # fmt: skip

    # What gunicorn's HTTP2Request reads
    priority_weight = 16
    priority_depends_on = 0
    trailers: Headers | None = None

    def __init__(self, connection: Connection, stream_id: int, headers: Headers) -> None:
        self.stream_id = stream_id
        self.body = Body()
        self._connection = connection
        self._headers = headers
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._room: Flag | None = None
        self._on_room: Callable[[], object] | None = None
        self._trailers: Headers = _NONE
        self._asks_grpc = _is_grpc(headers)
        self._answers_grpc = False
        self._is_parked = False
        self._is_whole = False
        self.is_over = False
        self.on_gone: Callable[[], object] | None = None
        self.expect_continue = False

    @property
    def _sock(self) -> Exchange:
        """Itself, where gevent's socket has the plain one."""
        return self

    def start(self) -> None:
        """Answer the request in a greenlet."""
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        worker = self._connection.worker
        try:
            request = HTTP2Request(self, worker.cfg, self._connection.address)
            request.body = io.BufferedReader(BodyFile(self.body, self._was_read))
            self._headers = _NONE  # a parked stream needs them no longer
        except Exception:  # what gunicorn refuses in HTTP/1.1, too
            self.send_response_headers(self.stream_id, 400, [])
            self.end_stream(self.stream_id)
            return
        try:
            worker.handle_http2_request(self._connection.listener_name, request, self, self._connection.address, self)
        except HTTP2StreamError:
            pass  # the client left
        except Exception:  # gunicorn has logged it
            self.reset(ErrorCodes.INTERNAL_ERROR)
        finally:
            self._greenlet = None
            if not (self._is_parked or self.is_over):
                self.reset(ErrorCodes.INTERNAL_ERROR)

    # The request, as gunicorn reads it

    def get_pseudo_headers(self) -> dict[str, str]:
        """Return the headers that stand for a request line."""
        return {name: value for name, value in self._headers if name.startswith(":")}

    def get_regular_headers(self) -> Headers:
        """Return the other headers."""
        return [(name, value) for name, value in self._headers if not name.startswith(":")]

    def receive_by(self, on_came: Callable[[], object] | None) -> None:
        """Call a function when bytes of the body have come, or its end. Nothing may wait for them."""
        if not self.body.is_whole:
            self.body.on_came = on_came

    def received(self) -> bytes:
        """Return what has come of the body, and let the client send as much again. Does not switch."""
        data = self.body.take()
        if data:
            self._was_read(len(data))
        return data

    @property
    def is_received(self) -> bool:
        """Whether the client has sent everything."""
        return self.body.is_whole

    def _was_read(self, size: int) -> None:
        if not self.is_over:
            self._connection.open_window(self.stream_id, size)

    # The response, as gunicorn writes it

    def send_response_headers(self, stream_id: int, status: int, headers: Headers, end_stream: bool = False) -> bool:
        """Send the head of the response. Return False if the client has left."""
        if self.is_over:
            return False
        named = [(name.lower(), str(value)) for name, value in headers]
        self._answers_grpc = _is_grpc(named)
        if self._answers_grpc:  # its last bytes become trailers, so the length is not that of the body
            named = [each for each in named if each[0] != "content-length"]
        elif self._asks_grpc:  # grpcio forgets the HTTP status if data ends the response of a call that still sends
            self._trailers = [("grpc-status", str(code_of_foreign_status(status).value))]
        self._connection.send_headers(self.stream_id, [(":status", str(status)), *named], end_stream=False)
        return True

    def send_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> bool:
        """Send a chunk; wait for the client's window. Return False if the client has left, or takes nothing. Switches."""
        rest = memoryview(self.in_body(data))
        while rest and not self.is_over:
            piece, rest = rest[:_PIECE_BYTES], rest[_PIECE_BYTES:]
            with gevent.Timeout(self._connection.stall_seconds, False):  # type: ignore[arg-type]
                while piece and not self.is_over:
                    piece = piece[self.send(piece) :]
                    if piece:
                        self._wait()
            if piece:
                self.reset(ErrorCodes.CANCEL)
        self._room = None
        return not self.is_over

    def _wait(self) -> None:
        """Wait until there might be room. Switches."""
        self._room = Flag()
        self._connection.waiting.add(self)
        self._room.wait()

    def end_stream(self, stream_id: int, trailers: Headers | None = None) -> bool:
        """End the response, unless its stream of events has parked. Return False if the client has left.

        Raises:
            ValueError: A trailer of the app can't be sent.
        """
        if self._is_parked:
            return True
        if self.is_over:
            return False
        self._finish(_checked(trailers) if trailers else self._trailers)
        return True

    def send_informational(self, stream_id: int, status: int, headers: Headers) -> None:
        """Send nothing: no client here asks for it."""

    def _finish(self, trailers: Headers) -> None:
        self._leave()
        self._connection.end(self.stream_id, trailers, is_read=self.body.is_whole)

    # The line of a parked stream, and the sink of an output. Nothing here switches

    @property
    def number(self) -> int:
        """Number of the connection."""
        return self._connection.number

    def line(self) -> Exchange:
        """Return what a parked stream writes to from now on."""
        self._is_parked = True
        if self.body.is_whole and not self.body.unread:
            self.body = _READ
        return self

    def in_body(self, chunk: bytes) -> bytes:
        """Return a chunk as it stands in the body: not the last one of gRPC, which is made trailers."""
        if not (self._answers_grpc and chunk and chunk[0] & _TRAILERS):
            return chunk
        lines = chunk[_ENVELOPE_HEAD:].decode("latin-1").split("\r\n")
        self._trailers = [(name, value) for name, _, value in (line.partition(": ") for line in lines if line)]
        return b""

    def end(self) -> bytes:
        """Note that the body is whole."""
        self._is_whole = True
        return b""

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as the client's windows allow now; return the number of bytes.

        Raises:
            ConnectionResetError: The client has left.
        """
        if self.is_over:
            raise ConnectionResetError("The client has reset the stream.")
        return self._connection.outgoing.data(self.stream_id, data)

    def watcher(self) -> _RoomWatcher:
        """Return a watcher for room in the windows."""
        return _RoomWatcher(self)

    def close(self) -> None:
        """End the response; reset it if its last chunk was not said."""
        if self.is_over:
            return
        if self._is_whole:
            self._finish(self._trailers)
        else:
            self.reset(ErrorCodes.CANCEL)

    def wait_for_room(self, on_room: Callable[[], object] | None) -> None:
        """Call a function once there is room again; None for no function."""
        self._on_room = on_room
        if on_room is not None:
            self._connection.waiting.add(self)

    def has_room(self) -> None:
        """Note that a window has opened, or that the connection takes bytes again."""
        if self._room is not None:
            self._room.set()
        if self._on_room is not None:
            self._connection.waiting.add(self)
            self._on_room()

    # The socket of the client, and the watch for its end

    def setsockopt(self, *_: object) -> None:
        """Do nothing: the socket is not of this stream alone."""

    def shutdown(self, how: int) -> None:
        """Break the stream, as the shutdown of a socket in both directions does."""
        if how == socket.SHUT_RDWR:
            self.reset(ErrorCodes.CANCEL)

    def watch(self, on_gone: Callable[[], object]) -> Exchange:
        """Call a function when the client leaves."""
        self.on_gone = on_gone
        return self

    def stop(self) -> None:
        """Stop calling it."""
        self.on_gone = None

    # The end

    def reset(self, code: int) -> None:
        """Tell the client that the stream is broken, and end what runs here."""
        if not self.is_over:
            self._connection.reset(self.stream_id, code)
            self.vanish()

    def vanish(self) -> None:
        """End what runs here: the client has reset the stream, or the connection has ended."""
        if self.is_over:
            return
        self._leave()
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()
        elif self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill(block=False)

    def _leave(self) -> None:
        self.is_over = True
        self.body.break_off()
        if self._room is not None:
            self._room.set()
        self._connection.leave(self)


def _is_grpc(headers: Headers) -> bool:
    kind = next((value for name, value in headers if name == "content-type"), "")
    return kind.startswith(_GRPC) and not kind.startswith(f"{_GRPC}-web")


def _checked(trailers: Headers) -> Headers:
    """Return an app's own trailers as HTTP/2 has them. gunicorn checks headers only.

    Raises:
        ValueError: One can't be sent.
    """
    for name, value in trailers:
        if not (TOKEN_RE.fullmatch(name) and HEADER_VALUE_RE.fullmatch(value)):
            raise ValueError(f"The trailer {name!a} can't be sent. Give a name and a value that a header may have.")
    return [(name.lower(), value.strip(" \t")) for name, value in trailers]


class _RoomWatcher:
    """A watcher, as the loop has them, for the windows of one stream."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def start(self, callback: Callable[[], object]) -> None:
        """Call a function at each moment at which there is room."""
        self._exchange.wait_for_room(callback)

    def stop(self) -> None:
        """Stop calling it."""
        self._exchange.wait_for_room(None)

    def close(self) -> None:
        """Do the same."""
        self.stop()
