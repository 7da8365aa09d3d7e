"""Two workers that all attacks go to. At the end their logs show that none told a secret, and none was a 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.security.attacks import AUDIENCE, COOKIE, FRIEND, secrets
from tests.tools.fleet import JWT_KEY, Fleet, fleet
from tests.tools.serving import KEY, TICKETS_PER_SECOND, Server


@pytest.fixture(scope="package")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(
        tmp_path_factory.mktemp("security"),
        app="tests.apps.inspected:app",
        constants={TICKETS_PER_SECOND: 1000},
        ACCESS_LOG="-",
        anonymous_channels="open.*",
        jwt_audience=AUDIENCE,
        jwt_cookie=COOKIE,
        allowed_origins=FRIEND,
    ) as running:
        yield running
        logs = [worker.log for worker in running]
        assert any("/api/v1/" in log for log in logs), "the access log is on"
        for log in logs:
            assert_no_secret(log)
            assert "Traceback" not in log
            assert '" 500 ' not in log


@pytest.fixture
def server(workers: Fleet) -> Server:
    """One of them."""
    return workers.one


def assert_no_secret(log: str) -> None:
    """The log has neither a secret that was sent, nor a query string."""
    assert KEY not in log
    assert JWT_KEY not in log
    for text in secrets:
        for part in {text, text.rpartition("=")[2], text.rpartition(".")[2], text.rpartition(".")[0]}:
            assert len(part) < 16 or part not in log
    assert "ticket=" not in log
    assert "channel=" not in log
    assert "evil.example" not in log
