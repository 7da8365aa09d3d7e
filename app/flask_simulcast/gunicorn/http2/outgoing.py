"""Outgoing: the frames that a connection sends. Those of one turn of the loop are one write."""

from __future__ import annotations

import struct

from gevent import get_hub
from h2.connection import H2Connection

from ...transports.output import Output

#: Before a frame of data: three bytes of length, type, flags, stream.
DATA_HEAD = struct.Struct(">HBBBI")


class Outgoing:
    """What waits for the end of the turn. Nothing here switches.

    Args:
        h2: The state of the connection.
        output: Writes to the socket.
    """

    def __init__(self, h2: H2Connection, output: Output) -> None:
        self._h2 = h2
        self._output = output
        self._frames: list[bytes | memoryview] = []
        self._will_flush = False

    def data(self, stream_id: int, data: bytes | memoryview) -> int:
        """Send as much as the windows allow; return the number of bytes.

        A frame of data changes nothing but the windows. h2's own way to it takes 15 µs, which would be most of a delivery.
        """
        h2, size = self._h2, len(data)
        stream = h2.streams.get(stream_id)
        if stream is None or not size or not self._output.has_room(size):
            return 0
        window, most = stream.outbound_flow_control_window, h2.max_outbound_frame_size
        if size > window or size > h2.outbound_flow_control_window:
            size = min(window, h2.outbound_flow_control_window)
            if size <= 0:
                return 0
        if size > most or size < len(data):
            for start in range(0, size, most):
                self._add(stream_id, data[start : min(start + most, size)])
        else:
            self._add(stream_id, data)
        h2.outbound_flow_control_window -= size
        stream.outbound_flow_control_window = window - size
        if not self._will_flush:
            self._flush_soon()
        return size

    def _add(self, stream_id: int, piece: bytes | memoryview) -> None:
        self._frames += (DATA_HEAD.pack(len(piece) >> 8, len(piece) & 0xFF, 0, 0, stream_id), piece)

    def take_up(self) -> None:
        """Send what h2 has written, after the data that waits."""
        self._frames.append(self._h2.data_to_send())
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._will_flush:
            self._will_flush = True
            get_hub().loop.run_callback(self.flush)

    def flush(self) -> None:
        """Write now."""
        self._will_flush = False
        frames, self._frames = self._frames, []
        frames.append(self._h2.data_to_send())
        if data := b"".join(frames):
            self._output.put(data)
