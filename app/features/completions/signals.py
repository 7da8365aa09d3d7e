"""Signals: what other parts of the service may learn of answers. The sender is the Flask app.

- ``completion_ended(app, id=str, model=str, user=str, tokens=int)``: an answer of this worker has ended, in whatever way; the
  user is empty for none.
"""

from __future__ import annotations

from blinker import Signal

completion_ended = Signal()
