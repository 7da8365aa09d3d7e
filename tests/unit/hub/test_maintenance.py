"""The log is maintained again and again, whatever happens to one attempt."""

from __future__ import annotations

import gc
import logging
from types import SimpleNamespace
from typing import cast

import gevent
import pytest

from app.flask_simulcast.brokers.base import Broker
from app.flask_simulcast.errors import BrokerUnavailableError
from app.flask_simulcast.hub import maintenance as module
from app.flask_simulcast.hub.maintenance import Maintenance
from app.flask_simulcast.metrics import Metrics


class Log:
    """Counts how often it was maintained; each error in `errors` is raised once."""

    write_ahead_bytes = 7
    log_bytes = 9

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.times = 0
        self.is_away = False

    def head(self) -> None:
        if self.is_away:
            raise BrokerUnavailableError("away")

    def maintain(self) -> None:
        self.times += 1
        if self.errors:
            raise self.errors.pop(0)


def maintenance_of(log: Log, metrics: Metrics | None = None) -> Maintenance:
    return Maintenance(cast("Broker", log), metrics or Metrics())


def test_maintained_log_tells_its_size() -> None:
    metrics = Metrics()
    maintenance_of(Log(), metrics).maintain()
    assert metrics.gauges()["write_ahead_bytes"] == 7
    assert metrics.gauges()["log_bytes"] == 9


def test_outage_is_logged_once_and_a_fault_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    away = BrokerUnavailableError("away")
    maintenance = maintenance_of(Log(away, away, ZeroDivisionError()))
    with caplog.at_level(logging.WARNING, "flask_simulcast"):
        for _ in range(4):
            maintenance.maintain()
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("WARNING", False),
        ("ERROR", True),
    ]


def test_after_a_break_other_holders_of_leases_have_time_to_renew_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    slept: list[float] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "gevent", SimpleNamespace(sleep=slept.append))
    log = Log()
    maintenance = maintenance_of(log)
    for seconds, pauses in ((60, 0), (0.5, 0), (10, 1), (0.5, 1)):
        now[0] += seconds
        maintenance.wait_after_break()
        maintenance.maintain()
        assert len(slept) == pauses
    now[0] += 10
    log.is_away = True
    maintenance.wait_after_break()
    assert len(slept) == 1, "there is no lease to renew yet"


def test_unpatched_process_maintains_where_it_publishes_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "has_loop", lambda: False)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    log = Log()
    maintenance = maintenance_of(log)
    for seconds in (0, 0.4, 0.1, 0.4):
        now[0] += seconds
        maintenance.run_if_due()
    assert log.times == 2


def test_patched_process_has_one_greenlet_for_it_which_ends_with_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_loop", lambda: True)
    monkeypatch.setattr(module, "_SECONDS", 0.001)
    log = Log()
    maintenance = maintenance_of(log)
    maintenance.run_if_due()
    maintenance.run_if_due()
    with gevent.Timeout(5):
        while log.times < 3:
            gevent.sleep(0.001)
    del maintenance
    gc.collect()
    gevent.sleep(0.01)  # its greenlet looks once more; the check after each test sees that it is gone
