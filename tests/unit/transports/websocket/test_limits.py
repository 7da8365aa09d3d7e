"""The bounds of one connection: buckets, and limits from the settings."""

from __future__ import annotations

import pytest
from flask import Flask

from app.flask_simulcast import GuardedSock, Settings, Simulcast
from app.flask_simulcast.transports.websocket.limits import Bucket, Limits


def test_a_bucket_holds_two_seconds_and_fills_with_time() -> None:
    bucket = Bucket(8)
    assert bucket.take(16, 100)
    assert not bucket.take(1, 100)
    assert not bucket.take(2, 100.125)
    assert bucket.take(1, 100.125)
    assert bucket.take(16, 200), "never more than two seconds' worth"
    assert not bucket.take(1, 200)


def test_a_bucket_that_says_no_takes_nothing() -> None:
    bucket = Bucket(1)
    assert not bucket.take(3, 0)
    assert bucket.take(2, 0)


def test_without_a_rate_anything_goes() -> None:
    assert Bucket(0).take(1 << 40, 0)


def test_limits_come_from_the_settings() -> None:
    settings = Settings(max_event_bytes=10_000, heartbeat_seconds=3)
    limits = Limits.of(settings, fragments=7)
    assert (limits.message_bytes, limits.heartbeat_seconds, limits.fragments) == (20_000, 3, 7)
    assert Limits.of(Settings()) == Limits(), "one default, said twice"


def test_a_wrong_limit_does_not_wait_for_the_first_client() -> None:
    app = Flask(__name__)
    with pytest.raises(TypeError, match="message_size"):
        GuardedSock(Simulcast(), app).route("/x", limits={"message_size": 1})
