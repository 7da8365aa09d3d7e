"""P5: a worker that stands still while trimming passes it: its listeners are told, and no other listener waits for it."""

from __future__ import annotations

import os
import signal

from tests.faults.checker import History
from tests.faults.generator import Publisher
from tests.tools.clients import SSEClient
from tests.tools.serving import wait_until
from tests.tools.tiers import Store, on

# Nothing younger than 10 s is trimmed, so the freeze must last longer.
HISTORY = 100


@on("sqlite", "redis")
def test_p5_listeners_of_a_frozen_worker_get_a_gap_and_no_other_waits(store: Store) -> None:
    history = History()
    path = "/api/v1/stream?channel=flow"
    options = {"workers": 1, "history_events": HISTORY, "WORKER_TIMEOUT": 90}
    with (
        store.serve("frozen", **options) as frozen,
        store.serve("running", **options) as running,
        SSEClient(frozen.port, path, timeout=30) as listener,
        SSEClient(frozen.port, "/api/v1/stream?channel=other", timeout=30) as bystander,
    ):
        before = running.publish("flow", {"n": -1})
        assert listener.until("message").id == before[0]
        kept = running.publish("other", {"n": 0})
        assert bystander.until("message").id == kept[0]
        os.kill(frozen.workers[0], signal.SIGSTOP)
        publisher = Publisher(history, [running.port], rate=1000, batch=20)
        publisher.start()

        def trimmed_far() -> bool:
            with SSEClient(running.port, path, last_event_id=before[0]) as resumer:
                return resumer.next().type == "gap"  # type: ignore[union-attr]

        wait_until(trimmed_far, 60, "trimming to pass the frozen worker's position")
        publisher.stop()
        last = running.publish("flow", {"n": "last"}), running.publish("other", {"n": 1})
        os.kill(frozen.workers[0], signal.SIGCONT)

        seen = before[0]  # or more: a read that waited at Redis was answered while the worker stood still
        while (block := listener.take(1)[0]).type != "gap":
            seen = block.id or seen
        gap = block.json
        assert gap["reason"] == "trimmed"
        assert gap["channels"] == ["flow"]
        assert gap["from"] == seen
        rest = []
        while not rest or rest[-1].id != last[0][0]:
            rest += listener.take(1, "message")
        numbers = [block.json["n"] for block in rest[:-1]]
        stored = [attempt.number for attempt in history.attempts]
        assert numbers == stored[-len(numbers) :], "what is retained follows without a hole"
        assert len(numbers) >= HISTORY
        # Nothing of this one's channel was trimmed: no gap, and nothing missing.
        following = bystander.next()
        while following is not None and following.type == "heartbeat":
            following = bystander.next()
        assert following is not None
        assert (following.type, following.id) == ("message", last[1][0])
    assert publisher.retries == 0
    assert publisher.slowest < 2, "a publish waited for the frozen worker"
