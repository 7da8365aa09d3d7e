"""Where a client is, as far as limits are concerned."""

from __future__ import annotations

import ipaddress
import logging

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from app.flask_simulcast.transports import address as module
from app.flask_simulcast.transports.address import UNREADABLE, address_of, canonical

IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).map(str)
PORTS = st.integers(0, 65535)


def request_from(address: str | None) -> Request:
    environ = EnvironBuilder().get_environ()
    if address is not None:
        environ["REMOTE_ADDR"] = address
    return Request(environ)


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0000::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[fe80::1%eth0]:80", "fe80::/64"),
        (" 192.0.2.1 ", "192.0.2.1"),
    ],
)
def test_an_ipv6_address_counts_with_its_network(address: str, counts_as: str) -> None:
    assert address_of(request_from(address), "A_LIMIT") == counts_as


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:192.0.2.33",
        "::ffff:c000:221",
        "0:0:0:0:0:ffff:192.0.2.33",
        "[::ffff:192.0.2.33]:40001",
        "::ffff:192.0.2.33%eth0",
        "64:ff9b::192.0.2.33",
        "2002:c000:221::7",
        "2002:c000:221:ffff::7",
        "2001:0:4136:e378:8000:63bf:3fff:fdde",
    ],
)
def test_an_ipv6_address_that_stands_for_an_ipv4_address_is_that_one(address: str) -> None:
    """bug F2: cut to /64, all IPv4 clients of a dual-stack socket were one."""
    assert canonical(address) == "192.0.2.33"


@given(IPV4)
def test_no_two_ipv4_addresses_are_one_in_whatever_way_they_come(address: str) -> None:
    number = ipaddress.IPv4Address(address)
    ways = [
        address,
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"2002:{int(number) >> 16:x}:{int(number) & 0xFFFF:x}::1",
    ]
    assert {canonical(way) for way in ways} == {address}


@given(st.one_of(IPV4, IPV6), PORTS)
def test_a_port_makes_no_other_address(address: str, port: int) -> None:
    """bug F3: a proxy that writes it switched the limit off."""
    written = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert canonical(written) == canonical(address) != UNREADABLE


@given(IPV6, st.integers(0, 2**64 - 1), st.text(st.characters(categories=["L", "N"]), max_size=8))
def test_a_neighbour_in_the_same_network_is_no_other_client(address: str, host: int, zone: str) -> None:
    number = ipaddress.IPv6Address(address)
    neighbour = ipaddress.IPv6Address(int(number) >> 64 << 64 | host)
    if module._ipv4_within(number) is None and module._ipv4_within(neighbour) is None:
        assert canonical(f"{neighbour}%{zone}") == canonical(address)


@pytest.mark.parametrize(
    "text",
    ["unknown", "_hidden", "no:address", "192.0.2.256", "010.0.0.1", "[192.0.2.1", "192.0.2.1:", "192.0.2.1:http", "[unknown]:80", "", "[]", "%eth0", "localhost", "192.0.2.1, 192.0.2.2", "x" * 8000, "１92.0.2.1"],
)  # fmt: skip
def test_what_is_no_address_shares_one_limit(text: str) -> None:
    """bug F3: as a limit of its own for each text it was none, as the client may choose the text."""
    assert canonical(text) == UNREADABLE


@given(st.text())
def test_any_text_has_an_address_and_keeps_it(text: str) -> None:
    """What it is can't depend on how often it was looked at, and nothing raises."""
    counted = canonical(text)
    assert counted == UNREADABLE or canonical(counted.removesuffix("/64")) == counted


@pytest.mark.parametrize(("address", "counts_as"), [("", ""), (None, ""), ("unknown", UNREADABLE)])
def test_an_unknown_address_is_said_once_for_each_limit(
    address: str | None, counts_as: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_said", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert address_of(request_from(address), "A_LIMIT") == counts_as
            assert address_of(request_from(address), "ANOTHER_LIMIT") == counts_as
    assert [record.args for record in caplog.records] == [("A_LIMIT",), ("ANOTHER_LIMIT",)]
