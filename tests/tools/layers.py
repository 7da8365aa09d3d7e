"""The layers of the extension, from the ground up: what tests of imports and of documents compare with."""

from __future__ import annotations

from tests.tools.serving import ROOT

EXTENSION = ROOT / "app" / "flask_simulcast"

# From the ground up. A module may import those of lower layers and, where it is a package, its own parts.
LAYERS = [
    {"event", "settings", "rows", "errors", "loop", "url", "server_log", "keepalive"},
    {"encoding", "grant", "presence", "cors"},
    {"listen_request", "listener", "audience", "signals"},
    {"brokers"},
    {"channel", "metrics"},
    {"hub"},
    {"transports"},
    {"publisher", "tickets", "on_commit", "app_state", "channel_names"},
    {"redemption", "error_responses"},
    {"access"},
    {"streaming"},
    {"extension"},
    {"gunicorn", "testing"},
    {"__init__"},
]


def layer_of(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)
