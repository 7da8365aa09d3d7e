"""The moves of a hub's parts, one at a time: for tests that decide when each of them happens.

Here alone stand the names that a hub keeps to itself.
"""

from __future__ import annotations

from app.flask_simulcast.event import Position
from app.flask_simulcast.hub.hub import Hub
from app.flask_simulcast.listener import Listener


def read_on(hub: Hub) -> None:
    """The pump reads what the log has."""
    hub._pump.catch_up()


def position_of(hub: Hub) -> Position:
    """How far the pump has read."""
    return hub._pump.position


def is_lost(hub: Hub) -> bool:
    """The pump can't read the log."""
    return hub._pump.is_lost


def is_running(hub: Hub) -> bool:
    """The pump has a greenlet."""
    return hub._pump.is_running


def make_pass(hub: Hub) -> None:
    """The broadcaster hands out what is pending."""
    hub._broadcaster._pass()


def look_after(hub: Hub) -> None:
    """The broadcaster looks for heartbeats that are due, and for listeners that are stuck."""
    hub._broadcaster._look_after()


def scatter(hub: Hub) -> None:
    """All live listeners are sent back to history, as when a pass has failed."""
    hub._scatter()


def step(hub: Hub, listener: Listener) -> bytes:
    """The listener takes one step of catching up; the bytes that it gets."""
    return hub._catch_up.step(listener)
