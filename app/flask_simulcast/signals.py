"""What application code may want to know, as blinker signals. The sender is the Flask app.

Receivers run in the greenlet where it happened; one that raises is logged and counted, and the
others still run. Keep them short.

- ``listener_added(app, listener=Listener)``: a connection has its place on its channels.
- ``listener_removed(app, listener=Listener)``: it is gone; ``listener.close_reason`` says why.
- ``broker_lost(app, error=BrokerError)``: this worker can't read the log any more, and tries again.
- ``broker_restored(app)``: it can again.
- ``worker_draining(app)``: this worker says goodbye to its listeners.
"""

from __future__ import annotations

import logging
from typing import Any

from blinker import Namespace, Signal

_namespace = Namespace()
listener_added = _namespace.signal("listener-added")
listener_removed = _namespace.signal("listener-removed")
broker_lost = _namespace.signal("broker-lost")
broker_restored = _namespace.signal("broker-restored")
worker_draining = _namespace.signal("worker-draining")

_log = logging.getLogger("flask_simulcast")


def send(signal: Signal, sender: Any, **facts: Any) -> int:
    """Call every receiver, each in its own try: ``Signal.send`` stops at the first that raises.

    Returns:
        How many receivers raised.
    """
    failed = 0
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **facts)
        except Exception:
            failed += 1
            _log.exception("A receiver of the signal %s raised. Repair it; the others were called.", signal)
    return failed
