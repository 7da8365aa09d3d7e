"""The sizes of the fault suite: short for each test run, long for `scripts/faults`, which `scripts/nightly` runs."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Of one form.

    Attributes:
        events: While processes are killed.
        kills: Of a random worker.
        master_kills: Of the whole server.
        store_kills: Of Redis.
        cut_events: For listeners whose connections are cut at random bytes.
        keyed_events: Published through a relay that drops answers.
        joins: Listeners that join in full flow.
        slow_joins: The same, at a worker that stands still now and then.
        gap_rounds: How often the log is exchanged, in each way.
        gap_listeners: Who must be told each time.
        reloads: Rolling ones, under load.
        streams: Open meanwhile.
        freezes: Of Redis.
        away_seconds: How long each of them lasts.
        patience_seconds: Within the heartbeat and this a client that vanished is gone.
        heartbeats: Of listeners that vanish, in s.
        lossy_heartbeats: Of listeners that stay while packets are lost, in s.
        lossy_listeners: How many, with each heartbeat.
        clock_jumps: Of an hour or two.
        leaks: Connections cut before it is counted what is left.
        thread_connects: To a server with threads, before it is counted what is left.
        replays: With a token that is narrower, or was revoked.
        call_events: For calls of RPC.
        call_kills: Of a random worker, meanwhile.
        call_reloads: Of all workers, meanwhile.
        seconds: That one test may take.
    """

    events: int = 60_000
    kills: int = 10
    master_kills: int = 1
    store_kills: int = 2
    cut_events: int = 10_000
    keyed_events: int = 5_000
    joins: int = 120
    slow_joins: int = 20
    gap_rounds: int = 1
    gap_listeners: int = 25
    reloads: int = 2
    streams: int = 500
    freezes: int = 1
    away_seconds: int = 6
    patience_seconds: int = 4
    heartbeats: tuple[int, ...] = (1, 3, 6, 24)
    lossy_heartbeats: tuple[int, ...] = (5, 30)
    lossy_listeners: int = 20
    clock_jumps: int = 3
    leaks: int = 500
    thread_connects: int = 1_500
    replays: int = 100
    call_events: int = 2_400
    call_kills: int = 2
    call_reloads: int = 1
    seconds: int = 120


SHORT = Sizes()
LONG = Sizes(
    events=1_000_000,
    kills=50,
    master_kills=10,
    store_kills=20,
    cut_events=1_000_000,
    keyed_events=100_000,
    joins=2_000,
    slow_joins=60,
    gap_rounds=20,
    gap_listeners=50,
    reloads=20,
    streams=500,
    freezes=20,
    away_seconds=10,
    patience_seconds=20,
    heartbeats=(5, 15, 30, 120),
    lossy_heartbeats=(5, 15, 30, 120),
    lossy_listeners=100,
    clock_jumps=60,
    leaks=10_000,
    thread_connects=10_000,
    replays=10_000,
    call_events=400_000,
    call_kills=50,
    call_reloads=20,
    seconds=3_600,
)

SIZES = LONG if os.environ.get("FAULTS") == "long" else SHORT
