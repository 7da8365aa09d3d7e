"""The health check tells the figures by the names of the seed."""

from __future__ import annotations

from app.features.ops.health import health
from app.flask_simulcast.metrics import Metrics, label_of
from app.flask_simulcast.ops.figures import Figures, of_worker
from app.flask_simulcast.ops.folder import Machine


def test_health_has_the_names_of_the_seed() -> None:
    metrics = Metrics()
    metrics.set("listeners", 3)
    metrics.count("events_delivered_total", 12)
    for name in ("publish_failed_total", "receiver_errors_total", "broker_lost_total"):
        metrics.count(name, label="x" if label_of(name) else "")
    metrics.count("listeners_refused_total", 9, "listener_limit")  # a limit that holds is no error
    assert health(Machine(2, 1000, of_worker(metrics, {500: 1}, request_errors=1)), now=1060.5) == {
        "status": "ok",
        "activeConnections": 3,
        "totalMessages": 12,
        "errorCount": 4,
        "uptime": 60.5,
        "workers": 2,
    }


def test_a_clock_that_was_set_back_makes_no_negative_uptime() -> None:
    assert health(Machine(1, 1000, Figures()), now=900)["uptime"] == 0
