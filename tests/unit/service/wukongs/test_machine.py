"""The names of this machine and its workers."""

from __future__ import annotations

import pytest

from app.features.wukongs import machine


@pytest.mark.parametrize("host", ["web", "worker-1"])
def test_full_name_of_a_full_name_is_itself_also_on_a_machine_that_is_called_worker_1(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(machine, "HOST", host)
    assert machine.canonical("host") == host
    assert machine.canonical("worker-22") == f"{host}-worker-22"
    for name in (host, f"{host}-worker-22", "agent-7"):
        assert machine.canonical(name) == name
