"""Which names are this service's, and which prefixes are paths."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from app import config
from app.flask_simulcast import SettingError
from app.web.hosts import is_among, is_local, is_nobodys
from app.web.proxies import _PlainPrefix

NAMES = ["live.example", ".app.example", "192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    "host",
    ["live.example", "LIVE.example.", "live.example:8000", "app.example", "a.b.app.example:443", "192.0.2.1:80", "[2001:db8::1]:80", "[2001:db8::1]"],
)  # fmt: skip
def test_a_name_of_the_list_is_ours(host: str) -> None:
    assert is_among(host, NAMES)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "live.example.evil.example", "xlive.example", "xapp.example", "x.live.example", "localhost", ":80", "live.example:80:80", "live.example:x", "live.example/", "user@live.example", "192.0.2.11", "::1"],
)  # fmt: skip
def test_no_other_name_is_ours(host: str) -> None:
    """sec, "Weak": any Host was served."""
    assert not is_among(host, NAMES)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "a.localhost", "127.0.0.1:8000", "127.9.9.9", "[::1]:80"]
)
def test_the_machine_s_own_names_are_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["app:8000", "x", "192.0.2.1", "my_app", "[2001:db8::1]:80"])
def test_a_name_without_a_dot_and_an_address_can_not_be_owned(host: str) -> None:
    assert is_nobodys(host) and not is_local(host)


@pytest.mark.parametrize(
    "host", ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example."]
)
def test_a_name_with_a_dot_might_be_owned(host: str) -> None:
    assert not is_nobodys(host) and not is_local(host)


@pytest.mark.parametrize(
    "value", ["https://live.example", "live.example:80", "*", "*.live.example", "a/b", "[::1]", ".", "a b"]
)
def test_what_is_no_name_stops_the_start(value: str) -> None:
    with pytest.raises(SettingError, match=r"SIMULCAST_TRUSTED_HOSTS=.*Use for example"):
        config.read({"SIMULCAST_TRUSTED_HOSTS": value})


def test_the_names_are_a_list_in_lower_case() -> None:
    read = config.read({"SIMULCAST_TRUSTED_HOSTS": " Live.Example,.app.example , ::1"})
    assert read["SIMULCAST_TRUSTED_HOSTS"] == ("live.example", ".app.example", "::1")


@pytest.mark.parametrize(
    ("sent", "believed"),
    [
        ("/hub", "/hub"),
        ("/hub/", "/hub"),
        ("/a/b-c_d.e~f", "/a/b-c_d.e~f"),
        ("/a, /b", "/a,/b"),
        ("//evil.example", None),
        ("/\\evil.example", None),
        ("hub", None),
        ("", None),
        ("/", None),
        ("/hub;Domain=x", None),
        ("/hub\r\nX: y", None),
        ("/a, //evil.example", None),
        ('/"><script>', None),
    ],
)
def test_a_prefix_is_a_plain_path_or_none(sent: str, believed: str | None) -> None:
    """bug F10. It stands before every link of a page."""
    seen: list[Any] = []

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        seen.append(environ.get("HTTP_X_FORWARDED_PREFIX"))
        return []

    environ = EnvironBuilder().get_environ() | {"HTTP_X_FORWARDED_PREFIX": sent}
    _PlainPrefix(app)(environ, lambda *_: lambda _: None)
    assert seen == [believed]
