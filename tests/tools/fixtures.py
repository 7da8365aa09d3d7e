"""Fixtures for running servers and browsers, one statement each: ``server = server_fixture(workers=2, jwt_key=JWT_KEY)``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.tools.browser import Browser
from tests.tools.chromium import Chromium, open_chromium
from tests.tools.firefox import open_firefox
from tests.tools.fleet import Fleet, fleet
from tests.tools.serving import Server, serve
from tests.tools.tiers import open_store
from tests.tools.webkit import open_webkit

Serve = Callable[..., contextlib.AbstractContextManager[Any]]


def server_fixture(
    *, on: tuple[str, ...] = (), scope: Literal["function", "module"] = "module", **settings: object
) -> Callable[..., Iterator[Server]]:
    """Make a fixture: one server, for a module or for each test.

    Args:
        on: Tiers of `tests.tools.tiers`, each of which is tried. By default the one that the service starts with.
        settings: As `serve` has them.
    """
    return _fixture(serve, on, scope, settings)


def fleet_fixture(*, on: tuple[str, ...] = (), **settings: object) -> Callable[..., Iterator[Fleet]]:
    """Make a fixture: two workers of one log, for a module. As `server_fixture`, with the settings of `fleet`."""
    return _fixture(fleet, on, "module", settings)


def chromium_fixture(*options: str) -> Callable[..., Iterator[Chromium]]:
    """Make a fixture: one browser for a module, with these options of its command line."""

    @pytest.fixture(scope="module")
    def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
        with open_chromium(tmp_path_factory.mktemp("chromium"), *options) as chromium:
            yield chromium

    return running


_BROWSERS = {"chromium": open_chromium, "firefox": open_firefox, "webkit": open_webkit}


def browser_fixture() -> Callable[..., Iterator[Browser]]:
    """Make a fixture: one browser for a module, of each kind in turn."""

    @pytest.fixture(scope="module", params=_BROWSERS)
    def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
        with _BROWSERS[request.param](tmp_path_factory.mktemp("browser")) as browser:
            yield browser

    return running


def _fixture(serve: Serve, on: tuple[str, ...], scope: Literal["function", "module"], settings: dict[str, Any]) -> Any:
    @pytest.fixture(scope=scope, params=on or None)
    def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        folder: Path = tmp_path_factory.mktemp("server")
        with contextlib.ExitStack() as stack:
            store = {"broker_url": stack.enter_context(open_store(request.param, folder)).url} if on else {}
            yield stack.enter_context(serve(folder / "service", **store, **settings))

    return running
