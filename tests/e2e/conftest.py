"""One browser for all tests, with a profile of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.chromium import Chromium, open_chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """It trusts the certificates that tests make."""
    with open_chromium(tmp_path_factory.mktemp("chromium"), "--ignore-certificate-errors") as browser:
        yield browser


@pytest.fixture
def chromium(browser: Chromium) -> Iterator[Chromium]:
    with browser.fresh() as chromium:
        yield chromium
