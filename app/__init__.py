"""The service. `create_app` makes it; its parts are put together in `service`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app.

    gunicorn imports this package for its configuration, before its workers are patched. So Flask and all else come later.

    Args:
        config: Goes before the environment.

    Raises:
        SettingError: A setting can't be used.
    """
    from . import service

    return service.create_app(config)
