"""The worker that polls the sources of usage is killed: another one goes on, and stores nothing twice."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

from tests.tools.clients import SSEClient
from tests.tools.serving import wait_until
from tests.tools.sources import serve_sources
from tests.tools.tiers import Store, on


@on("sqlite", "redis")
def test_another_worker_polls_within_fifteen_seconds(store: Store) -> None:
    """Asserted at twice that, for a machine that has other things to do."""

    def record(number: int) -> dict[str, Any]:
        return {"creditsUsed": number, "model": "polled", "createdAt": datetime.now(UTC).isoformat()}

    with serve_sources() as sources, store.serve(usage_sources=f"list 1 {sources.url('list')}") as server:
        sources.records = [record(1), record(2)]
        wait_until(lambda: len(server.get_json("/api/v1/usage")["usage"]) == 2, 20)
        before = set(sources.polls)
        assert len(before) == 1, "one worker polls"
        (killed,) = before
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        sources.records = [*sources.records, record(3)]
        wait_until(lambda: set(sources.polls) != before, 30)
        print(f"\npolled again {time.monotonic() - at:.1f} s after the kill")
        with SSEClient(server.port, "/api/v1/usage/stream", timeout=20) as client:
            seen: list[int] = []
            while 3 not in seen:
                seen += [one["creditsUsed"] for one in client.until("usage").json]
        assert seen == [1, 2, 3]
        assert len(set(sources.polls)) == 2, "one worker polls"
