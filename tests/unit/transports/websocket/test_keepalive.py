"""When a silent client is pinged, and given up."""

from __future__ import annotations

from app.flask_simulcast.transports.websocket.keepalive import Keepalive


def test_a_silent_client_is_pinged_again_and_again_and_then_given_up() -> None:
    pulse = Keepalive(15, 60, now=0)
    assert (pulse.ping_at, pulse.stalls_at) == (15, float("inf"))
    pulse.asked(15)
    assert (pulse.ping_at, pulse.stalls_at) == (30, 75)
    pulse.asked(30)
    assert (pulse.ping_at, pulse.stalls_at) == (45, 75), "the first ping counts"
    pulse.beat(40)
    assert (pulse.ping_at, pulse.stalls_at) == (55, float("inf"))
