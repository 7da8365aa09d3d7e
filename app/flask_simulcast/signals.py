"""What application code may want to know, as blinker signals. The sender is the Flask app.

Receivers run in the greenlet where it happened; one that raises is logged and counted, and the
others still run. Keep them short.

- ``event_published(app, event=Event)``: a caller of this worker published it, and the log has it.
- ``listener_added(app, listener=Listener)``: a connection has its place on its channels.
- ``listener_closed(app, listener=Listener, reason=CloseReason)``: its stream has ended, and why.
- ``listener_removed(app, listener=Listener)``: its place was given back.
- ``listener_lagging(app, listener=Listener)``: it was too slow, and reads history at its own pace now.
- ``gap_sent(app, listener=Listener, reason=str)``: it was told that it misses something.
- ``broker_lost(app, error=BrokerError)``: this worker can't read the log any more, and tries again.
- ``broker_restored(app)``: it can again.
- ``draining(app)``: this worker says goodbye to its listeners.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from blinker import Namespace, Signal

_namespace = Namespace()
event_published = _namespace.signal("event-published")
listener_added = _namespace.signal("listener-added")
listener_closed = _namespace.signal("listener-closed")
listener_lagging = _namespace.signal("listener-lagging")
listener_removed = _namespace.signal("listener-removed")
gap_sent = _namespace.signal("gap-sent")
broker_lost = _namespace.signal("broker-lost")
broker_restored = _namespace.signal("broker-restored")
draining = _namespace.signal("draining")

_log = logging.getLogger("flask_simulcast")


def send_soon(signal: Signal, sender: Any, on_failed: Callable[[int], object], **facts: Any) -> None:
    """As `send`, from where nothing may switch: the receivers run in a greenlet of their own, and ``on_failed`` is told
    how many raised."""
    if signal.receivers:
        gevent.spawn(lambda: on_failed(send(signal, sender, **facts)))


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
