"""Where a client is, as far as limits are concerned."""

from __future__ import annotations

import logging

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from app.flask_simulcast.transports import address as module
from app.flask_simulcast.transports.address import address_of


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
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
    ],
)
def test_an_ipv6_address_counts_with_its_network(address: str, counts_as: str) -> None:
    assert address_of(request_from(address), "A_LIMIT") == counts_as


@pytest.mark.parametrize("address", ["", None])
def test_an_unknown_address_is_said_once_for_each_limit(
    address: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_said", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert address_of(request_from(address), "A_LIMIT") == ""
            assert address_of(request_from(address), "ANOTHER_LIMIT") == ""
    assert [record.args for record in caplog.records] == [("A_LIMIT",), ("ANOTHER_LIMIT",)]
