"""Who may read an answer from another origin, and what a browser may send from there."""

from __future__ import annotations

import pytest

from app.flask_simulcast import cors

OWN = "https://live.example"
PAGE = "https://app.example"
FOREIGN = "https://evil.example"


def test_without_a_list_nobody_but_the_own_pages_may_read() -> None:
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
