"""Publishing over HTTP, without listeners: the cost of one POST, with the key and with a token."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator

from app.identity.tokens import mint

from .fanout import rounds
from .figure import Effort, Figure, Target, at_least, at_most, faults_of, rounds_of
from .job import Outcome
from .server import Server, serve

_TOKEN_SECONDS = 3600
_BATCH_TARGET = at_least(30_000)


def measure(effort: Effort) -> Iterator[Figure]:
    """Measure 1 and 32 events a POST. The rate limit of a user is off."""
    jwt_key = secrets.token_hex(16)
    with serve(jwt_key=jwt_key, publish_rate=0) as server:
        yield _figure(server, effort, 1, "", None, at_most(800))
        yield _figure(server, effort, 32, "", _BATCH_TARGET, None)
        token = mint(jwt_key, seconds=_TOKEN_SECONDS, user="bench", publish=["bench"])
        with_token = dataclasses.replace(server, key=token)
        yield _figure(with_token, effort, 1, ", with a token", None, at_most(800))
        yield _figure(with_token, effort, 32, ", with a token", _BATCH_TARGET, None)


def _figure(
    server: Server, effort: Effort, batch: int, how: str, target: Target | None, cpu_target: Target | None
) -> Figure:
    outcomes = rounds(server, effort, 0, batch=batch, window=1)
    outcome = sorted(outcomes, key=_cpu_us)[len(outcomes) // 2]
    return Figure(
        f"publish over HTTP, {batch} event{'s' * (batch > 1)} a POST{how}",
        outcome.published / outcome.seconds,
        "events/s",
        target,
        _cpu_us(outcome),
        "event",
        cpu_target,
        outcome.client_cores,
        faults_of(outcomes),
        rounds_of(outcomes),
    )


def _cpu_us(outcome: Outcome) -> float:
    return outcome.cpu_seconds / outcome.published * 1e6
