"""The watches of health: one greenlet looks after all of them."""

from __future__ import annotations

from typing import Any

import pytest

from app.flask_simulcast.loop import let_others_in
from app.flask_simulcast.rpc import health
from tests.unit.conftest import running


class Watcher:
    def look(self) -> None:
        pass


def test_clients_that_come_and_go_share_one_greenlet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_LOOK_SECONDS", 0)
    service = health.Health()
    for _ in range(3):
        watcher: Any = Watcher()
        service._add(watcher)
        service._watchers.discard(watcher)
    service._add(watcher)
    let_others_in()
    assert len(running()) == 1
    service._watchers.discard(watcher)
    for _ in range(2):
        let_others_in()
    assert not running()
    service._add(watcher)  # the next one is looked after as well
    assert len(running()) == 1
    service._watchers.discard(watcher)
