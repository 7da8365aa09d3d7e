"""StreamWorker: gunicorn's gevent worker with a door in front, which answers hot requests itself.

The master imports this module, and keeps it over a HUP. So the rest of the door is imported when a worker runs.
"""

from __future__ import annotations

from typing import Any

from gunicorn.workers.ggevent import GeventWorker

# Seconds for which requests of one client may hold the loop.
_BREATHE_SECONDS = 0.005
# Bytes of a body that are dropped at once.
_PIECE_BYTES = 8 << 10


class StreamWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's gevent worker. For an app with hot routes it accepts connections at a `Door`; for all others it is the same."""

    def run(self) -> None:
        """Accept connections until the worker stops."""
        from ..loop import Breather
        from .door.opening import door_for

        self._breather = Breather(_BREATHE_SECONDS)
        self.server_class = door_for(self)
        super().run()

    def handle_request(self, listener_name: Any, req: Any, client: Any, address: Any) -> None:
        """Answer a request as gunicorn does; then the connection waits at the door for the next one, without a greenlet. May switch.

        Raises:
            StopIteration: gunicorn is to let go of the connection.
        """
        super().handle_request(listener_name, req, client, address)
        self._drop_rest(req)
        if self.server_class is not None:
            from .door.opening import give_back

            give_back(self, req, client, address)
        self._breather.breathe()  # a client whose next requests are there already would hold up all others

    def _drop_rest(self, req: Any) -> None:
        """Read what the app has left of a body. gunicorn does so before the next request, without a switch if the client sends fast.
        Switches.

        Raises:
            StopIteration: It can't be read, or has not ended within the time of ``keepalive``: as with gunicorn.
        """
        if getattr(req.body, "failed", False):
            raise StopIteration
        with self.timeout_ctx():
            while req.body.read(_PIECE_BYTES):
                self._breather.breathe()
            return
        raise StopIteration
