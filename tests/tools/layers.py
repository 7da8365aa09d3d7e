"""The layers of the extension, from the ground up: what tests of imports and of documents compare with."""

from __future__ import annotations

from tests.tools.serving import ROOT

EXTENSION = ROOT / "app" / "flask_simulcast"

# From the ground up. A module may import those of lower layers and, where it is a package, its own parts.
LAYERS = [
    {"event", "data", "settings", "rows", "errors", "loop", "url", "server_log", "keepalive", "version", "proto"},
    {"encoding", "grant", "presence", "run_state", "cors"},
    {"listen_request", "listener", "chunk_queue", "close_reason", "audience", "signals", "loop_thread"},
    {"brokers"},
    {"channel", "draining", "metrics"},
    {"hub"},
    {"transports"},
    {"hot"},
    {"publisher", "revoking", "tickets", "on_commit", "app_state", "channel_names"},
    {"redemption", "error_responses", "run"},
    {"ops"},
    {"access", "subscriptions"},
    {"streaming", "rpc"},
    {"running"},
    {"doctor"},
    {"cli"},
    {"extension"},
    {"gunicorn", "testing", "client"},
    {"__init__"},
]
# The order of the parts of a package, where it matters. A part may hold those that stand before it.
PARTS = {
    "client": [
        {"errors", "status", "backoff", "address", "event"},
        {"place", "answers", "wire"},
        {"stream"},
        {"client"},
        {"__main__"},
    ],
    "doctor": [
        {"finding", "errors"},
        {"answer", "beside", "gunicorn_facts", "faults"},
        {"client", "server", "sqlite_log", "redis_log"},
        {"visit"},
        {"answers", "passing", "living", "websocket"},
        {"examination", "report"},
    ],
    "hub": [
        {
            "announcer",
            "ring",
            "ttl_cache",
            "page_cache",
            "history",
            "streams_log",
            "listeners",
            "place_reporter",
            "maintenance",
            "live_run",
        },
        {"pump", "dropped_streams"},
        {"single_flight", "switchboard", "runner", "appender"},
        {"control", "broadcaster", "drain", "pages"},
        {"catchup", "dispatcher"},
        {"patience", "replay", "admission"},
        {"hub"},
        {"gateway"},
    ],
    "transports": [
        {
            "address",
            "app_json",
            "client_socket",
            "goodbye",
            "json_rows",
            "kept_request",
            "mirror",
            "open_calls",
            "output",
            "reaper",
            "timer",
        },
        {"line"},
        {"client_watch", "handover", "server_hooks"},
        {"parked"},
        {"stream", "preflight", "subscription"},
        {"sse"},
        {"ndjson", "refusal"},
        {"response"},
        {"writer", "websocket"},
        {"rpc"},
    ],
}


def layer_of(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)
