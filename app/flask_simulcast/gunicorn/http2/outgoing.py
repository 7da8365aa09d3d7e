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
        self._frames: list[bytes | memoryview] = []  # of data; what h2 has to send follows them
        self._will_flush = False

    def data(self, stream_id: int, data: bytes | memoryview) -> int:
        """Send as much as the windows allow; return the number of bytes."""
        h2, stream = self._h2, self._h2.streams.get(stream_id)
        if stream is None or stream.closed or not self._output.has_room(len(data)):
            return 0
        size = min(h2.outbound_flow_control_window, stream.outbound_flow_control_window, len(data))
        if size <= 0:
            return 0
        # h2's own way to a frame takes 15 µs, which is most of a delivery. A frame of data changes nothing but the windows.
        if before := h2.data_to_send():
            self._frames.append(before)
        for start in range(0, size, h2.max_outbound_frame_size):
            piece = data[start : min(start + h2.max_outbound_frame_size, size)]
            self._frames += (DATA_HEAD.pack(len(piece) >> 8, len(piece) & 0xFF, 0, 0, stream_id), piece)
        h2.outbound_flow_control_window -= size
        stream.outbound_flow_control_window -= size
        self.flush_soon()
        return size

    def flush_soon(self) -> None:
        """Write at the end of this turn."""
        if not self._will_flush:
            self._will_flush = True
            get_hub().loop.run_callback(self.flush)

    def flush(self) -> None:
        """Write now."""
        self._will_flush = False
        frames, self._frames = self._frames, []
        if data := b"".join((*frames, self._h2.data_to_send())):
            self._output.put(data)
