"""Who may read an answer from another origin, and what a browser may send from there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast import cors

OWN = "https://live.example"
PAGE = "https://app.example"
FOREIGN = "https://evil.example"


def test_without_a_list_only_the_own_pages_may_read() -> None:
    for origin in (None, OWN, PAGE, "null"):
        assert cors.headers_for(origin, ()) == {}
        assert cors.preflight_headers(origin, (), ["POST"]) == {}


def test_an_origin_of_the_list_is_named_and_may_use_cookies() -> None:
    headers = cors.headers_for(PAGE, (PAGE,))
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        FOREIGN,
        "null",
        "*",
        "",
        PAGE + ":443",
        PAGE + "/",
        PAGE.upper(),
        "http://app.example",
        PAGE + ".evil.example",
    ],
)
def test_no_other_origin_is_allowed_anything(origin: str | None) -> None:
    """Compared as a whole: browsers write an origin in one way only. Caches must keep the answers apart all the same."""
    assert cors.headers_for(origin, (PAGE,)) == {"Vary": "Origin"}
    assert cors.preflight_headers(origin, (PAGE,), ["POST"]) == {"Vary": "Origin"}


@pytest.mark.parametrize("origin", [None, FOREIGN, "null", "*"])
def test_a_star_lets_anyone_read_without_cookies(origin: str | None) -> None:
    """Never the origin itself with credentials: that would hand every user's data to any page."""
    for headers in (cors.headers_for(origin, ("*",)), cors.preflight_headers(origin, ("*",), ["GET"])):
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in headers


def test_beside_a_star_an_origin_of_the_list_may_use_cookies() -> None:
    assert cors.headers_for(PAGE, ("*", PAGE))["Access-Control-Allow-Credentials"] == "true"
    assert "Access-Control-Allow-Credentials" not in cors.headers_for(FOREIGN, ("*", PAGE))


def test_a_preflight_names_what_may_be_sent() -> None:
    headers = cors.preflight_headers(PAGE, (PAGE,), {"POST", "OPTIONS"})
    assert headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
    allowed = headers["Access-Control-Allow-Headers"].split(", ")
    assert set(allowed) == {"Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key"}
    assert headers["Access-Control-Max-Age"] == "600"
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"


def test_cookies_act_for_the_own_pages_and_those_of_the_list_alone() -> None:
    assert all(cors.is_allowed(origin, OWN, (PAGE,)) for origin in (None, OWN, PAGE))
    assert not any(cors.is_allowed(origin, OWN, (PAGE, "*")) for origin in (FOREIGN, "*", "null"))


@pytest.mark.parametrize(
    "asked",
    [
        "baggage,last-event-id,sentry-trace",
        "traceparent, tracestate",
        "cache-control",
        "x-requested-with",
        "authorization,x-csrftoken",
    ],
)
def test_a_tracer_s_headers_are_allowed_to_a_page_that_may_send(asked: str) -> None:
    """bug F11: the browser stopped, for a header that this server does not read."""
    headers = cors.preflight_headers(PAGE, (PAGE,), ["GET"], asked)
    allowed = {name.lower() for name in headers["Access-Control-Allow-Headers"].split(", ")}
    assert {name.strip() for name in asked.split(",")} <= allowed
    assert {"authorization", "content-type", "last-event-id", "idempotency-key"} <= allowed
    assert "Access-Control-Allow-Headers" not in cors.preflight_headers(FOREIGN, (PAGE,), ["GET"], asked)


@given(st.text())
def test_what_is_asked_is_echoed_as_names_and_bounded(asked: str) -> None:
    allowed = cors.preflight_headers(PAGE, (PAGE,), ["GET"], asked)["Access-Control-Allow-Headers"]
    assert re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(, [A-Za-z0-9!#$%&'*+.^_`|~-]+)*", allowed)
    assert len(allowed.split(", ")) <= 4 + 32


def test_many_and_long_names_are_left_out() -> None:
    asked = ",".join(["x" * 65, *(f"x-{number}" for number in range(100))])
    allowed = cors.preflight_headers(PAGE, (PAGE,), ["GET"], asked)["Access-Control-Allow-Headers"].split(", ")
    assert allowed[4:] == [f"x-{number}" for number in range(31)]


@pytest.mark.parametrize("name", ["x-forwarded-for", "X-Forwarded-Prefix", "forwarded", "x-real-ip", "X-Original-URL"])
def test_a_page_can_t_say_what_a_proxy_says(name: str) -> None:
    for allowed in ((PAGE,), ("*",)):
        assert name not in cors.preflight_headers(PAGE, allowed, ["GET"], name)["Access-Control-Allow-Headers"]
