"""Blinker signals for application code. The sender is the Flask app.

Receivers run in the greenlet where the signal is sent; in a process that is not patched, in the loop's thread, and all
listeners of the process wait meanwhile. A receiver that raises is logged and counted, and the others still run. Keep
receivers short.

- ``event_published(app, event=Event)``: a caller in this worker published an event, and the log has it.
- ``listener_added(app, listener=Listener)``: a listener has joined its channels.
- ``listener_closed(app, listener=Listener, reason=CloseReason)``: a listener's stream has ended, for this reason.
- ``listener_removed(app, listener=Listener)``: a listener has left its channels.
- ``listener_lagging(app, listener=Listener)``: a listener was too slow, and now reads history at its own pace.
- ``gap_sent(app, listener=Listener, reason=str)``: a listener was told that events are missing.
- ``broker_lost(app, error=BrokerError)``: this worker can't read the log, and tries again.
- ``broker_restored(app)``: this worker can read the log again.
- ``run_started(app, run=RunState)``: this worker has begun to produce a run.
- ``run_ended(app, run=RunState)``: a run of this worker has ended; ``run.ending`` says how.
- ``draining(app)``: this worker closes its listeners before it stops.
"""

from __future__ import annotations

import logging
from typing import Any

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
run_started = _namespace.signal("run-started")
run_ended = _namespace.signal("run-ended")
draining = _namespace.signal("draining")

_log = logging.getLogger("flask_simulcast")


def send(signal: Signal, sender: Any, **facts: Any) -> int:
    """Call every receiver, each in its own try: ``Signal.send`` stops at the first that raises.

    Returns:
        The number of receivers that raised.
    """
    if not signal.receivers:
        return 0  # 2 µs less
    failed = 0
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **facts)
        except Exception:
            failed += 1
            _log.exception("A receiver of the signal %s raised. Fix it; the other receivers were called.", signal)
    return failed
