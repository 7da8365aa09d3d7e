"""Tickets: each lets in once, and after that the browser that used it alone, at the same URL."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast import Grant, Settings
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.testing import FakeClock
from app.flask_simulcast.tickets import MAX_SECONDS, Tickets
from app.flask_simulcast.transports.app_json import default_of

BOB = Grant("bob", ("chat.*",), token_id="t")


@pytest.fixture
def broker(clock: FakeClock) -> MemoryBroker:
    return MemoryBroker(Settings(broker_url="memory://"), clock)


@pytest.fixture
def tickets(broker: MemoryBroker) -> Tickets:
    return Tickets(broker, max_seconds=3600)


def until(seconds: float) -> Grant:
    return Grant("bob", ("chat.*",), expires_at=time.time() + seconds, token_id="t")


URL = "/stream?channel=chat.a"


def redeem(tickets: Tickets, ticket: str, cookie: str, url: str = URL) -> Grant | None:
    """Find a ticket and spend it, as a request does; return the grant as it was issued."""
    found = tickets.find(ticket, url, [cookie] if cookie else [])
    if found is None:
        return None
    grant = tickets.spend(found, url, cookie)
    if grant is None:
        return None
    assert grant.ticket == found.name
    assert grant.redeemed_at <= time.time()
    return replace(grant, ticket="", redeemed_at=0)


def test_a_ticket_lets_in_once(tickets: Tickets) -> None:
    ticket = tickets.issue(BOB, 60)
    assert redeem(tickets, ticket, "") == BOB
    assert redeem(tickets, ticket, "") is None
    assert redeem(tickets, ticket, "mine") is None, "it was spent without a browser"


def test_a_spent_ticket_lets_its_own_browser_in_again(tickets: Tickets) -> None:
    ticket = tickets.issue(BOB, 60)
    assert redeem(tickets, ticket, "mine") == BOB
    assert [redeem(tickets, ticket, browser) for browser in ("theirs", "", "mine ", "Mine")] == [None] * 4
    assert [redeem(tickets, ticket, "mine") for _ in range(3)] == [BOB] * 3


def test_a_ticket_that_was_only_found_is_not_spent(tickets: Tickets) -> None:
    """security, "a ticket is spent by a 403": a request for the wrong channel costs nothing."""
    ticket = tickets.issue(BOB, 60)
    assert tickets.find(ticket, URL, []) is not None
    assert redeem(tickets, ticket, "") == BOB


def test_a_spent_ticket_is_good_at_its_own_url_alone(tickets: Tickets) -> None:
    """security F3."""
    ticket = tickets.issue(BOB, 60)
    assert redeem(tickets, ticket, "mine") == BOB
    assert redeem(tickets, ticket, "mine", "/stream?channel=chat.b") is None
    assert redeem(tickets, ticket, "mine", "/ws") is None
    assert redeem(tickets, ticket, "mine") == BOB


def test_cookies_of_a_sibling_host_do_not_lock_a_browser_out(tickets: Tickets) -> None:
    """security, "eight cookies": its own may come last."""
    ticket = tickets.issue(BOB, 60)
    assert redeem(tickets, ticket, "mine") == BOB
    assert tickets.find(ticket, URL, [*(f"planted {number}" for number in range(100)), "mine"]) is not None


def test_a_cookie_is_made_here(tickets: Tickets) -> None:
    """security F3: a value that a client chose was taken."""
    first = tickets.cookie_for(["chosen"])
    assert first != "chosen"
    assert tickets.cookie_for(["chosen", first]) == first
    assert tickets.cookie_for([]) != first


def test_a_ticket_holds_for_a_minute_at_most(tickets: Tickets, clock: FakeClock) -> None:
    assert MAX_SECONDS == 60
    asked = {5.0: 5.0, 60.0: 60.0, 3600.0: 60.0}
    for seconds, holds in asked.items():
        late, early = tickets.issue(BOB, seconds), tickets.issue(BOB, seconds)
        clock.advance(holds - 0.01)
        assert redeem(tickets, early, "") == BOB
        clock.advance(0.01)
        assert redeem(tickets, late, "") is None


def test_a_ticket_holds_no_longer_than_its_grant(tickets: Tickets, clock: FakeClock) -> None:
    ticket = tickets.issue(until(10), 60)
    clock.advance(10)
    assert redeem(tickets, ticket, "") is None
    assert redeem(tickets, tickets.issue(until(-1), 60), "") is None


def test_a_spent_ticket_lets_in_until_the_grant_ends(tickets: Tickets, clock: FakeClock) -> None:
    grant = until(600)
    ticket = tickets.issue(grant, 60)
    assert redeem(tickets, ticket, "mine") == grant
    clock.advance(590)
    assert redeem(tickets, ticket, "mine") == grant
    clock.advance(10)
    assert redeem(tickets, ticket, "mine") is None


def test_that_of_a_grant_without_an_end_does_so_for_as_long_as_the_longest(tickets: Tickets, clock: FakeClock) -> None:
    ticket = tickets.issue(BOB, 60)
    redeem(tickets, ticket, "mine")
    clock.advance(3599)
    assert redeem(tickets, ticket, "mine") == BOB
    clock.advance(1)
    assert redeem(tickets, ticket, "mine") is None


def test_of_a_hundred_at_once_one_is_let_in(tickets: Tickets) -> None:
    ticket = tickets.issue(BOB, 60)
    attempts = [gevent.spawn(redeem, tickets, ticket, f"browser {number}") for number in range(100)]
    gevent.joinall(attempts, timeout=10)
    assert [attempt.value for attempt in attempts].count(BOB) == 1


def test_a_grant_whose_meta_holds_what_flask_can_write_has_tickets(broker: MemoryBroker) -> None:
    tickets = Tickets(broker, 3600, default_of())
    ticket = tickets.issue(Grant("bob", meta={"since": datetime.date(2026, 11, 28)}), 60)
    found = tickets.find(ticket, URL, [])
    assert found is not None
    assert "2026" in found.grant.meta["since"]


def test_no_two_tickets_are_alike(tickets: Tickets) -> None:
    assert len({tickets.issue(BOB, 60) for _ in range(1000)}) == 1000


def test_the_log_keeps_neither_ticket_nor_cookie(tickets: Tickets, broker: MemoryBroker) -> None:
    """A reader of the file can't use them."""
    spent, unspent = tickets.issue(BOB, 60), tickets.issue(BOB, 60)
    redeem(tickets, spent, "the cookie's secret")
    kept = repr(vars(broker._agreements))
    assert "bob" in kept
    assert spent not in kept
    assert unspent not in kept
    assert "the cookie" not in kept


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")), st.text(max_size=20))
def test_no_text_but_a_ticket_lets_in(text: str, browser: str) -> None:
    made = Tickets(MemoryBroker(Settings(broker_url="memory://"), FakeClock()), 3600)
    made.issue(BOB, 60)
    assert redeem(made, text, browser) is None


def test_an_oversized_ticket_is_not_even_looked_up(monkeypatch: pytest.MonkeyPatch, tickets: Tickets) -> None:
    monkeypatch.setattr(MemoryBroker, "get_text", lambda *_: pytest.fail("looked up"))
    assert redeem(tickets, "x" * 65, "") is None
