"""How an app writes what JSON has no form for: dates, decimals, UUIDs, dataclasses, and what the app has added."""

from __future__ import annotations

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from ..event import Default


def default_of(app: Flask | None = None) -> Default:
    """The function that ``app.json`` asks; Flask's own without an app, and for a provider that has none."""
    default: Default = getattr(app.json if app is not None else None, "default", None) or DefaultJSONProvider.default
    return default
