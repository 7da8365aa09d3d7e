"""The inspected service as it runs where there is no epoll."""

from __future__ import annotations

from app.flask_simulcast.transports import client_watch
from tests.apps.inspected import app

client_watch.HAS_EPOLL = False

__all__ = ["app"]
