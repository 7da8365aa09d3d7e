"""A password in a URL is told by nothing: no error, no repr, whatever is wrong with it (security F13)."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import config
from app.database import _read
from app.flask_simulcast.brokers import check_url
from app.flask_simulcast.errors import SettingError
from app.flask_simulcast.settings import Settings
from app.flask_simulcast.url import shown

SECRET = "s3cr3t"
MALFORMED = [
    f"rediss+x://:{SECRET}@h/0",
    f"redis:/:{SECRET}@h/0",
    f"redis//:{SECRET}@h/0",
    f" redis://:{SECRET}@h/0",
    f"redis://:{SECRET}@h:port/0",
    f"redis://h:{SECRET}/0",
    f"redis://:{SECRET}#x@h/0",
    f"redis://:{SECRET}/x@h/0",
    f"redis://:{SECRET}@h/zero",
    f"redis://:{SECRET}@\u2100h/0",  # its message quotes the whole network location
    f"redis://h/0?password={SECRET}&db=x",
    f"redis://h/0?retry={SECRET}",
    f"unix://:{SECRET}@",
    f"sentinel://:{SECRET}@h:26379",
    f"sentinel://:{SECRET}@h:x/service",
    f"sentinel://:{SECRET}@,/service",
    f"sqlite://:{SECRET}@h/0",
    f"nats://{SECRET}@h",
    f":{SECRET}@redis://h",
    SECRET,
]


def told(error: BaseException) -> str:
    """Return the text of a traceback, causes included, without the source lines."""
    return "".join(traceback.format_exception(error, limit=0))


@pytest.mark.parametrize("url", MALFORMED)
def test_no_error_of_a_start_tells_the_password_of_the_log(url: str) -> None:
    with pytest.raises(SettingError) as raised:
        check_url(Settings(broker_url=url))
    assert SECRET not in told(raised.value)
    assert "SIMULCAST_BROKER_URL" in str(raised.value)
    assert SECRET not in repr(Settings(broker_url=url))


@given(
    st.sampled_from(["redis", "rediss", "unix", "sentinel", "nats", "", "sqlite:", "memory:"]),
    st.text("/:@?#[]%&=,\u2100 x0", max_size=8),
    st.text("/:@?#[]%&=,\u2100 x0", max_size=8),
    st.sampled_from(["://", ":/", ":", "//", ""]),
)
def test_no_malformed_url_tells_a_password(scheme: str, before: str, after: str, joint: str) -> None:
    url = f"{scheme}{joint}{before}{SECRET}{after}"
    assert SECRET not in shown(url) or url.startswith("sqlite:///")
    settings = Settings(broker_url=url)
    assert SECRET not in repr(settings) or url.startswith("sqlite:///")
    try:
        check_url(settings)
    except SettingError as error:
        assert SECRET not in told(error)


def test_what_is_no_text_is_not_shown_either() -> None:
    for value in (f"redis://:{SECRET}@h".encode(), {"url": SECRET}, [SECRET]):
        with pytest.raises(SettingError, match="is not text") as raised:
            Settings.from_config({"SIMULCAST_BROKER_URL": value})
        assert SECRET not in told(raised.value)


def test_what_has_no_password_is_shown() -> None:
    assert shown("sqlite:////srv/simulcast.db") == "'sqlite:////srv/simulcast.db'"
    assert shown("memory://") == "'memory://'"
    assert shown("redis://h:6379/0") == "redis://…"
    assert "broker_url='sqlite:///simulcast.db', history_events=1000" in repr(Settings())


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:x@h:{SECRET}/d",
        f"postgresql://u:p@{SECRET}@h/d",  # a driver would say that there is no host of this name
        f"postgresql//u:{SECRET}@h/d",
        SECRET,
    ],
)
def test_no_error_of_a_start_tells_the_password_of_the_database(url: str) -> None:
    settings = config.read({}, {"SIMULCAST_DATABASE_URL": url})
    with pytest.raises(SettingError, match="SIMULCAST_DATABASE_URL") as raised:
        _read(settings["SQLALCHEMY_DATABASE_URI"])
    assert SECRET not in told(raised.value)
